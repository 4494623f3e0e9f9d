"""Who may import whom, and what ``import lab`` costs, told by modules and not by the clock."""

import ast
import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
LAB = sorted((ROOT / "lab").rglob("*.py"))
WIDGETS = sorted((ROOT / "widgets").rglob("*.py"))
FRONT_END = {
    "IPython",
    "ipywidgets",
    "anywidget",
    "plotly",
    "matplotlib",
    "traitlets",
    "jupyter",
    "voila",
    "widgets",
    "notebooks",
}


def imported(path):
    """The top-level packages that a file imports, wherever in it."""
    found = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            found |= {name.name.split(".")[0] for name in node.names}
        if isinstance(node, ast.ImportFrom) and node.module and node.level == 0:
            found.add(node.module.split(".")[0])
    return found


def relative(path):
    return str(path.relative_to(ROOT))


@pytest.mark.parametrize("path", LAB, ids=relative)
def test_the_engine_knows_no_front_end(path):
    assert not imported(path) & FRONT_END


@pytest.mark.parametrize("path", WIDGETS, ids=relative)
def test_widgets_know_no_notebooks(path):
    assert "notebooks" not in imported(path)


@pytest.mark.parametrize("path", [p for p in LAB if p.name != "cli.py" and "commands" not in p.parts], ids=relative)
def test_the_engine_neither_prints_nor_sleeps(path):
    calls = [node.func for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))) if isinstance(node, ast.Call)]
    named = {call.id for call in calls if isinstance(call, ast.Name)} | {c.attr for c in calls if isinstance(c, ast.Attribute)}
    assert not named & {"print", "sleep", "tqdm"}


def test_importing_the_lab_loads_little_beyond_torch():
    code = (
        "import sys, torch; before = set(sys.modules); from lab import *;"
        "print(*sorted({name.split('.')[0] for name in set(sys.modules) - before}))"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    loaded = set(done.stdout.split())
    assert "lab" in loaded
    heavy = {"kornia", "torchvision", "scipy", "pandas", "sklearn", "sympy", "typer", "tqdm", "beartype"}
    assert not loaded & (heavy | FRONT_END)


NO_TENSOR_NEEDED = (
    "--help",
    *(f"{command} --help" for command in ("list", "run", "train", "reproduce", "serve")),
    "",
    "nope",
    "list",
    "list --json",
    "list network",
    "list preset --json",
    "list nope",
    "run --nope",
    "run --preset nope",
    "run --network nope",
    "run --network mlp:nope=1",
    "run --network mlp:depth=-1",
    "run --attack gradient_matching:priors=nope",
    "run --defence nope",
    "run --distance nope",
    "run --iterations many",
    "run --iterations 0",
    "run --seconds 0",
    "run --batch 1000",
    "run --local-lr 0.1",
    "run --label 3",
    "run --image missing.png",
    "run --image missing.png --label 1000",
    "run --experiment missing.json",
    "run --experiment .",
    "run --trained --network resnet --weights missing.pth --untrained",
    "run --weights missing.pth",
    "run --weights .",
    "run --image missing.png --weights missing.pth",
    "run --trained --network mlp:width=17",
    "run --trained --network squeezenet",
    "run --trained --network imagenet_resnet:depth=50",
    "run --batch 100",
    "run --dataset folder:path=missing",
    "run --dataset folder:path=.",
    "run --dataset npz:path=missing.npz",
    "run --dataset lent_folder:folder=missing",
    *(f"run --dataset {name}:root=missing" for name in ("cifar10", "cifar100", "mnist", "fashion_mnist")),
    "run --device nope",
    "run --out /dev/null/x",
    "train nope --data missing",
    "train mlp --data missing --dataset gallery",
    "train mlp --data missing --epochs 0",
    "train mlp --data missing --keep-epochs all",
    "reproduce nope",
    "reproduce table1 --images 0",
    "reproduce table1 --budget vast",
    "reproduce table1 --workers 0",
    "reproduce table1 --only nope",
    "reproduce table1 --data missing",
    "reproduce table1 --out /dev/null/x",
    "price nope",
    "price --seeds 0",
    "price --workers 0",
    "duel --with missing.py",
    "duel --with .",
    "duel --images 0",
    "duel --data missing",
    "duel --workers 0",
    "duel --only nope",
    "train mlp --data /dev/null/x",
    "serve --port 0",
    "fetch nope",
    "fetch gallery",
)
"""What is told from the arguments alone."""


LIGHT = {"lab", "typer", "pydantic", "pydantic_core", "typing_inspection", "typing_extensions", "annotated_types"} | {
    "annotated_doc",
    "shellingham",
    "PIL",
    "tqdm",
    "numpy",
}
"""The command line and what it stands on, pictures, the progress bar, arrays."""
BESIDE = {"__main__", "__mp_main__", "_distutils_hack", "cython_runtime"}
"""What Python's own start or a compiled module leaves."""


def loaded_by(words, folder):
    """The finished command, and the packages outside Python's own library that it had loaded when it ended."""
    code = (
        "import runpy, sys; sys.argv = ['gradlab', *sys.argv[1:]]\n"
        "try: runpy.run_module('lab.cli', run_name='__main__')\n"
        "finally: print('loaded:', *{name.partition('.')[0] for name in sys.modules} - set(sys.stdlib_module_names))"
    )
    command = [sys.executable, "-c", code, *words.split()]
    environment = os.environ | {"PYTHONPATH": str(ROOT), "GRADLAB_DATA": "", "TORCH_HOME": str(folder), "HOME": str(folder)}
    done = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, check=False)
    assert "Traceback" not in done.stderr, done.stderr
    loaded = done.stdout.splitlines()[-1].removeprefix("loaded:").split()
    machinery = ("__editable__", "_cython_", "_sysconfigdata", "sitecustomize", "usercustomize")
    return done, {name for name in loaded if not name.startswith(machinery)} - BESIDE


@pytest.mark.parametrize("words", NO_TENSOR_NEEDED)
def test_nobody_waits_for_torch_to_be_listed_helped_or_refused(words, tmp_path):
    done, loaded = loaded_by(words, tmp_path)
    assert done.returncode == (0 if "--help" in words or (words.startswith("list") and "nope" not in words) else 2), done.stderr
    assert loaded <= LIGHT


@pytest.fixture(scope="module")
def torchs_own(tmp_path_factory):
    """The packages that ``import torch`` loads by itself."""
    code = "import sys, torch; print(*{name.partition('.')[0] for name in sys.modules})"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    return set(done.stdout.split())


MLP = "--network mlp:depth=1 --iterations 1"
RUNS = {
    f"run {MLP} --out out": set(),
    f"run {MLP} --local-steps 2 --defence gaussian_noise --labels joint": set(),
    "run --network mlp:depth=1 --attack analytic": set(),
    "run --network lenet --attack recursive --seconds 1": set(),
    "run --preset geiping2020 --iterations 1": set(),
    "run --trained --network mlp --iterations 1": {"safetensors"},
}
"""Each with what it needs beside torch; the pairing of several pictures, by scipy, is not among them."""


@pytest.mark.parametrize("words", RUNS)
def test_a_run_loads_what_it_uses_and_nothing_else(words, tmp_path, torchs_own):
    done, loaded = loaded_by(words, tmp_path)
    assert done.returncode == 0, done.stderr
    assert "torch" in loaded
    assert loaded <= LIGHT | torchs_own | RUNS[words]


def test_each_module_of_the_engine_imports_on_its_own():
    """No module leans on another having been imported first."""
    names = [".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__") for path in LAB]
    code = "import importlib, sys; [importlib.import_module(name) for name in sys.argv[1:]]"
    subprocess.run([sys.executable, "-c", code, *reversed(names)], cwd=ROOT, capture_output=True, text=True, check=True)
