"""Whoever adds an entry writes one file: shown in a copy of the lab, where nothing else is touched."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import nbformat
import pytest

ROOT = Path(__file__).parent.parent

ADDED = {
    "lab/federated/networks/two_layers.py": '''
"""A network of two layers."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

from lab.lazy import nn

from lab.federated.networks.base import Network, feature_count
from lab.options.fields import Bounds, Help


@dataclass(frozen=True)
class TwoLayers(Network):
    """One convolution and one linear layer."""

    filters: Annotated[int, Bounds(1, 64), Help("channels of the convolution")] = 4

    def modules(self, image_shape: tuple[int, int, int], classes: int) -> tuple[nn.Module, nn.Sequential]:
        """A body of one strided convolution, a linear head."""
        body = nn.Sequential(nn.Conv2d(image_shape[0], self.filters, 3, 2, 1), nn.Sigmoid())
        return body, nn.Sequential(nn.Linear(feature_count(body, image_shape), classes))
''',
    "lab/client/defences/rounding_off.py": '''
"""Rounding to a grid."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

from lab.lazy import torch

from lab.client.defences.base import Defence
from lab.federated.tensors import Gradients
from lab.options.fields import Bounds, Help


@dataclass(frozen=True)
class RoundingOff(Defence):
    """Rounds each number sent to a grid whose spacing is a share of the largest number of its tensor."""

    spacing: Annotated[float, Bounds(0.0, 1.0), Help("of the grid, over the largest number")] = 0.01
    spare_biases: Annotated[bool, Help("send the biases as they are")] = False

    @property
    def is_off(self) -> bool:
        """Whether nothing is rounded."""
        return self.spacing == 0

    def apply(self, update: Gradients, generator: torch.Generator) -> Gradients:
        """The nearest multiples."""
        return {name: self._rounded(name, tensor) for name, tensor in update.items()}

    def _rounded(self, name: str, tensor: torch.Tensor) -> torch.Tensor:
        grid = self.spacing * tensor.abs().max()
        spared = self.spare_biases and name.endswith("bias")
        return tensor.clone() if spared or not grid > 0 else (tensor / grid).round() * grid
''',
    "lab/attacks/all_grey.py": '''
"""An attack that gives up, in its own words."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from lab.lazy import torch

from lab.attacks.base import Attack, AttackState, Outcome
from lab.federated.observation import Observation


class GaveUp(Outcome):
    """How this attack ended."""

    AT_ONCE = "Nothing was tried, so nothing was found; the picture is grey."


@dataclass(frozen=True)
class AllGrey(Attack):
    """Answers with a grey picture: what knowing nothing gives."""

    def reconstruct(self, observation: Observation, generator: torch.Generator) -> Iterator[AttackState]:
        """One state."""
        like = next(iter(observation.update.values()))
        grey = torch.full((observation.batch_size, *observation.image_shape), 0.5, dtype=like.dtype, device=like.device)
        yield AttackState(1, 1, grey, 0.0, outcome=GaveUp.AT_ONCE)
''',
    "lab/attacks/matching/distances/log_cosh.py": '''
"""A square that becomes an absolute value far out."""

from __future__ import annotations

from dataclasses import dataclass

from lab.lazy import Tensor, functional

from lab.attacks.matching.distances.base import Distance
from lab.federated.tensors import Gradients
from lab.federated.updates import flat


@dataclass(frozen=True)
class LogCosh(Distance):
    """Sum of log cosh(g - g*), by softplus so that nothing overflows."""

    def __call__(self, candidate: Gradients, shared: Gradients) -> Tensor:
        """The sum over all parameters."""
        difference = (flat(candidate) - flat(shared)).abs()
        return (difference + functional.softplus(-2 * difference) - functional.softplus(0 * difference)).sum()
''',
    "lab/course/scenes/a_grey_box.py": '''
"""A scene between two others."""

from __future__ import annotations

from dataclasses import dataclass

from lab.course.scenes.base import Scene, SceneContent


@dataclass(frozen=True)
class AGreyBox(Scene):
    """What knowing nothing looks like."""

    def content(self) -> SceneContent:
        """The scene in words."""
        return SceneContent(
            place=2.5,
            title="Grey",
            text="Before it has compared anything the server knows nothing.",
            question="What does it guess first?",
            answers=("a face", "grey"),
            right=1,
            because="Grey is as near to every picture as one can begin.",
            sentence="The first guess says nothing of the secret.",
            shows=("secret", "sent"),
            runs=False,
            lesson="03-guess-until-it-matches",
            paper="Geiping et al. 2020, section 4",
            code="lab/attacks/matching/protocol_inference.py",
        )
''',
}
"""One file for each kind; the lesson's notebook is made below."""
NAMES = {"network": "two_layers", "defence": "rounding_off", "attack": "all_grey", "distance": "log_cosh"}
SCENE = "a_grey_box"


@pytest.fixture(scope="module")
def copy(tmp_path_factory):
    """The lab with one more file of each kind, one more lesson, and a notebook that cannot be read."""
    folder = tmp_path_factory.mktemp("copy")
    for part in ("lab", "widgets", "notebooks", "tests", "benchmarks"):
        shutil.copytree(ROOT / part, folder / part, ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(ROOT / "pyproject.toml", folder)
    for name, text in ADDED.items():
        (folder / name).write_text(text.lstrip())
    of_any = nbformat.read(ROOT / "notebooks" / "01-what-leaves-the-phone.ipynb", as_version=4).metadata
    lesson = nbformat.v4.new_notebook(metadata=of_any | {"lesson": {}, "title": "One more lesson"})
    lesson.cells = [nbformat.v4.new_markdown_cell("# One more lesson"), nbformat.v4.new_code_cell("import lab")]
    (folder / "notebooks" / "10-one-more.ipynb").write_text(nbformat.writes(lesson))
    (folder / "notebooks" / "11-broken.ipynb").write_text("{")
    return folder


def called(copy, *words):
    environment = os.environ | {"PYTHONPATH": str(copy)}
    return subprocess.run([sys.executable, *words], cwd=copy, env=environment, capture_output=True, text=True, check=False)


def said(copy, *words):
    done = called(copy, *words)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_the_list_has_them(copy):
    listed = {kind: said(copy, "-m", "lab.cli", "list", kind) for kind in NAMES}
    assert all(name in listed[kind] for kind, name in NAMES.items())
    assert SCENE in said(copy, "-m", "lab.cli", "list", "scene")


IN_THE_STORY = """
import asyncio
from widgets import Lab

async def story():
    page = Lab()
    print(*[scene["name"] for scene in page.guide.scenes])
    page.close()

asyncio.run(story())
"""


def test_the_story_tells_it_in_its_place(copy):
    assert said(copy, "-c", IN_THE_STORY).split()[1:4] == ["gradient", SCENE, "guess"]


def test_the_command_line_runs_them(copy):
    words = (
        "run",
        "--network",
        "two_layers:filters=3",
        "--defence",
        "rounding_off:spacing=0.1,spare_biases=true",
        "--out",
        "out",
    )
    told = said(copy, "-m", "lab.cli", *words, "--attack", "all_grey")
    assert "Nothing was tried, so nothing was found; the picture is grey." in told
    assert json.loads((copy / "out" / "result.json").read_text())["outcome"] == "AT_ONCE"
    said(copy, "-m", "lab.cli", *words, "--distance", "log_cosh", "--iterations", "3")
    experiment = json.loads((copy / "out" / "result.json").read_text())["experiment"]
    assert experiment["attack"]["distance"]["name"] == "log_cosh"


IN_THE_FORM = """
import json
from lab import Experiment
from lab.experiments import links
from lab.experiments.cost.limits import Limits
from widgets.form.controls import schema
from widgets.form.admission import edited

experiment = edited(Experiment(), [("network", "two_layers"), ("defence", "rounding_off"), ("distance", "log_cosh")])
paths = {control["path"]: control for control in schema(experiment)}
experiment = edited(experiment, [("network.filters", 5), ("defences.0.spacing", 0.25), ("defences.0.spare_biases", True)])
other = edited(experiment, [("attack", "all_grey")])
for one in (experiment, other):
    assert links.read(links.write(one)).experiment == one
    Limits(bytes=1e9, seconds=600).check(one)
print(json.dumps([path for path in paths if path.startswith(("network.", "defences."))]))
"""


def test_the_form_offers_them_a_link_brings_them_back_and_a_bounded_server_knows_their_cost(copy):
    paths = json.loads(said(copy, "-c", IN_THE_FORM).splitlines()[-1])
    assert paths == ["defences.0.spacing", "defences.0.spare_biases", "network.filters"]


def test_the_contracts_hold_them(copy):
    words = " or ".join(NAMES.values())
    told = said(copy, "-m", "pytest", "-vv", "-n", "0", "-p", "no:cacheprovider", "tests/test_contracts.py", "-k", words)
    assert all(told.count(f"{name}] PASSED") >= 3 for name in NAMES.values()), told


def test_the_course_has_the_lesson_and_no_broken_notebook_stops_it(copy):
    built = called(copy, "-m", "notebooks.course", "--out", "course")
    assert built.returncode == 1
    assert "11-broken.ipynb" in built.stderr
    assert "Traceback" not in built.stderr
    students = {path.name for path in (copy / "course" / "student").glob("*.ipynb")}
    assert {"10-one-more.ipynb", "01-what-leaves-the-phone.ipynb", "09-reproduce-a-figure.ipynb"} <= students
    assert "11-broken.ipynb" not in students
