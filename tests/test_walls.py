"""The folders are the threat model: who may import whom, read off every import, those for types alone included.

Who asks the catalogue for the entries of a kind knows their folder as if it were imported.
"""

import ast
import re
import tokenize
from functools import cache
from pathlib import Path

import pytest

from lab.options.catalogue import FOLDERS

ROOT = Path(__file__).parent.parent

FLOORS = (
    ("lab.capture", "lab.errors", "lab.lazy", "lab.machine", "lab.private_draws", "lab.randomness"),
    ("lab.files",),
    ("lab.options",),
    ("lab.federated",),
    ("lab.modalities",),
    ("lab.client",),
    ("lab.attacks",),
    ("lab.findings",),
    ("lab.evaluation",),
    ("lab.experiments", "lab.observe"),
    ("lab.studies", "lab.course", "lab.federation"),
    ("lab.duel",),
    ("lab.commands",),
    ("lab.cli",),
    ("widgets",),
    ("notebooks", "benchmarks"),
)
"""From the ground up: a module imports from its own floor and from those below."""

WALLS = {
    "lab.attacks": ("lab.client", "lab.evaluation", "lab.experiments"),
    "lab.client": ("lab.attacks", "lab.evaluation", "lab.experiments"),
    "lab.federated": ("lab.client", "lab.attacks", "lab.evaluation", "lab.experiments", "lab.modalities"),
    "lab.modalities": ("lab.client", "lab.attacks", "lab.evaluation", "lab.experiments"),
    "widgets.run": ("widgets.views", "widgets.pages"),
}
"""Who must not know whom, whatever the floors allow."""


def module_name(path):
    return ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__")


MODULES = {
    module_name(path): path for top in ("lab", "widgets", "notebooks", "benchmarks") for path in (ROOT / top).rglob("*.py")
}


@cache
def imports(module):
    """The modules of ours that a module imports, or asks the catalogue for, wherever in it."""
    found = set()
    for node in ast.walk(ast.parse(MODULES[module].read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            found |= {name.name for name in node.names if name.name in MODULES}
        if isinstance(node, ast.ImportFrom) and node.module in MODULES:
            named = {f"{node.module}.{name.name}" for name in node.names}
            found |= {name if name in MODULES else node.module for name in named}
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id in ("entries", "find"):
            found |= {f"lab.{FOLDERS[kind.value]}" for kind in node.args[:1] if is_a_kind(kind)}
    return frozenset(found - {module})


def is_a_kind(argument):
    return isinstance(argument, ast.Constant) and argument.value in FOLDERS


def is_within(module, room):
    return module == room or module.startswith(f"{room}.")


def floor(module):
    return next((number for number, rooms in enumerate(FLOORS) if any(is_within(module, room) for room in rooms)), None)


def test_every_module_has_a_floor():
    assert not [module for module in MODULES if floor(module) is None and module != "lab"]


def test_no_import_runs_upward():
    upward = [
        (module, found)
        for module in MODULES
        if module != "lab"
        for found in imports(module)
        if found != "lab" and floor(found) > floor(module)
    ]
    assert not upward


@pytest.mark.parametrize("room", WALLS)
def test_no_import_goes_through_a_wall(room):
    through = [
        (module, found)
        for module in MODULES
        if is_within(module, room)
        for found in imports(module)
        if any(is_within(found, hidden) for hidden in WALLS[room])
    ]
    assert not through


def test_truth_meets_reconstruction_in_one_room():
    """``Round`` holds the truth, and an attack's state the reconstruction: only the judge's own files know both by import."""
    both = [
        module
        for module in MODULES
        if module.startswith("lab.")
        and floor(module) < floor("lab.experiments")
        and {"lab.evaluation.round", "lab.attacks.base"} <= imports(module)
    ]
    assert both
    assert all(is_within(module, "lab.evaluation") for module in both)


def test_no_modules_import_each_other_in_a_circle():
    reached = {module: set(imports(module)) for module in MODULES}
    gone = True
    while gone:  # whoever imports nothing that is left is in no circle
        gone = {module for module, needs in reached.items() if not needs & reached.keys()}
        reached = {module: needs for module, needs in reached.items() if module not in gone}
    assert not reached


def test_few_modules_stand_directly_under_the_engine():
    assert len([path for path in (ROOT / "lab").glob("*.py") if path.name != "__init__.py"]) <= 8


ABOUT_PICTURES = {
    "lab.modalities.images": "pictures themselves",
    "lab.client.datasets": "sets of pictures",
    "lab.client.augmentation": "what is done to pictures in training",
    "lab.federated.networks": "convolutions have channels",
    "lab.federated.shapes": "convolutions have channels",
    "lab.federated.transformer": "a patch embedding has channels",
    "lab.attacks.closed_form": "convolutions undone",
    "lab.attacks.derivative.fast_convolution": "convolutions derived",
    "lab.attacks.soft_pooling": "poolings of pictures made soft",
    "lab.attacks.matching.softened_body": "poolings of pictures made soft",
    "lab.attacks.published": "the paper's settings, which are of pictures",
    "lab.studies.signed": "the paper's settings, which are of pictures",
    "lab.experiments.cost.memory": "convolutions counted",
    "lab.experiments.cost.network_profile": "convolutions counted",
    "lab.findings.preprocessing": "a finding about pictures",
    "lab.federation.bounds": "what noise lets no attack find of a picture",
    "lab.federation.shards": "a federation trains on a set of pictures",
    "lab.course.exercises.label_of": "an exercise about pictures",
    "lab.cli": "a flag for each option",
}
OF_PICTURES = re.compile(r"pixel|channel|decibel|psnr|(^|_)db(_|$)", re.IGNORECASE)


OF_TORCH = {"channels_last", "in_channels", "out_channels"}


def spoken(module):
    """The names in a module's code; its prose may speak of anything."""
    with MODULES[module].open("rb") as code:
        words = {token.string for token in tokenize.tokenize(code.readline) if token.type == tokenize.NAME}
    return {word for word in words - OF_TORCH if OF_PICTURES.search(word)}


def test_pixels_channels_and_decibels_are_named_where_pictures_are():
    told = {module: spoken(module) for module in MODULES if is_within(module, "lab")}
    loud = {module: words for module, words in told.items() if words}
    assert not {module: words for module, words in loud.items() if not any(is_within(module, room) for room in ABOUT_PICTURES)}
    assert not [room for room in ABOUT_PICTURES if not any(is_within(module, room) for module in loud)]
