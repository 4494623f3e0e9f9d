"""What researchers meet first: the page that is told them, the names of ``lab``, and what is said of each."""

import inspect
import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

import lab
from lab.options.catalogue import entries

ROOT = Path(__file__).parent.parent
KINDS = ("attack", "protocol", "loss", "local_optimiser", "fine_tuning", "distance", "prior", "optimiser", "defence", "network")


def test_ones_own_model_is_attacked_in_four_lines():
    """That they run is seen to with all code that is shown (``test_documents``)."""
    page = (ROOT / "docs" / "attack-your-own-model.md").read_text(encoding="utf-8")
    first, second = re.findall(r"^```python\n(.*?)^```", page, flags=re.DOTALL | re.MULTILINE)[:2]
    assert len(second.splitlines()) == 4
    assert [line for line in first.splitlines() if "lab" in line.split()[:2]] == ["import lab"]


@pytest.mark.parametrize("name", lab.__all__)
def test_every_public_name_is_there_and_says_what_it_is(name):
    assert inspect.getdoc(getattr(lab, name))


@pytest.mark.parametrize("kind", KINDS)
def test_every_entry_of_the_catalogue_is_a_name_of_lab(kind):
    for entry in entries(kind).values():
        assert getattr(lab, entry.__name__) is entry
        assert entry.__name__ in lab.__all__


def test_every_way_in_which_an_attack_ends_is_a_name_of_lab():
    assert entries("attack")
    endings = [outcome for outcome in lab.Outcome.__subclasses__() if outcome.__module__.startswith("lab.")]
    assert endings
    for outcome in endings:
        assert outcome.__name__ in lab.__all__
        assert getattr(lab, outcome.__name__) is outcome


def test_an_unknown_name_is_no_attribute():
    assert not hasattr(lab, "Nothing")
    assert set(lab.__all__) <= set(dir(lab))


def test_the_door_is_a_function_whoever_imported_its_module_first():
    code = "import lab.observe, lab; from lab.observe import observe; assert lab.observe is observe and callable(lab.observe)"
    subprocess.run([sys.executable, "-c", code], cwd=ROOT, check=True)


def test_type_checkers_are_told_that_the_lab_is_typed():
    assert (ROOT / "lab" / "py.typed").is_file()


def test_what_researchers_build_on_is_type_checked_strictly():
    strict = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["tool"]["pyright"]["strict"]
    assert {"options", "federated", "modalities", "attacks/base.py", "experiments", "observe.py"} == {
        path.removeprefix("lab/") for path in strict
    }
    assert all((ROOT / path).exists() for path in strict)


def test_pdoc_resolves_every_public_name():
    code = (
        "import sys, pdoc; import pdoc.doc; module = pdoc.doc.Module(__import__('lab'));"
        "print(*(n for n, m in module.members.items() if m.docstring), sep='\\n')"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert set(done.stdout.split()) >= set(lab.__all__)
