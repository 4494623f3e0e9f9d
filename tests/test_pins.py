"""``constraints.txt`` pins what the lab installs: everything, and nothing else."""

import platform
import re
import tomllib
from importlib.metadata import PackageNotFoundError, distribution
from itertools import chain
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).parent.parent
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
LINES = (ROOT / "constraints.txt").read_text().splitlines()
PINNED = dict(line.split("==") for line in LINES)


def reached(requirement, seen):
    """``seen`` with the installed version of what a requirement asks for, and of all that this needs in turn."""
    name = canonicalize_name(requirement.name)
    for extra in requirement.extras or {""}:
        if (name, extra) in seen:
            continue
        try:
            installed = distribution(name)
        except PackageNotFoundError:
            pytest.skip(f"{name} is not installed here: make setup")
        seen[name, extra] = installed.version.split("+")[0]
        for line in installed.requires or []:
            needed = Requirement(line)
            if needed.marker is None or needed.marker.evaluate({"extra": extra}):
                reached(needed, seen)
    return seen


def installed():
    """The version of all that is here because pyproject.toml asks for it, extras among them."""
    seen = {}
    for line in [*PROJECT["dependencies"], *chain(*PROJECT["optional-dependencies"].values())]:
        needed = Requirement(line)
        if needed.name != PROJECT["name"] and (needed.marker is None or needed.marker.evaluate()):
            reached(needed, seen)
    return {name: version for (name, _), version in seen.items()}


def test_every_pin_is_one_exact_version_in_order():
    assert all(re.fullmatch(r"[a-z0-9-]+==[0-9][\w.]*", line) for line in LINES)
    assert sorted(LINES) == LINES
    assert len(PINNED) == len(LINES)


def test_all_that_is_installed_for_the_lab_is_pinned_as_installed():
    assert {name: version for name, version in installed().items() if PINNED.get(name) != version} == {}


@pytest.mark.skipif(platform.system() != "Linux", reason="the pins are those of Linux, PyTorch's CUDA libraries among them")
def test_nothing_is_pinned_that_the_lab_does_not_need():
    if "+" in distribution("torch").version:
        pytest.skip("PyTorch's CPU build leaves the CUDA libraries away")
    assert sorted(set(PINNED) - set(installed())) == []
