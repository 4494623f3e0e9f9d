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
    "run --trained --network resnet --weights missing.pth --untrained",
    "train nope --data missing",
    "train mlp --data missing --dataset gallery",
    "train mlp --data missing --epochs 0",
    "train mlp --data missing --keep-epochs all",
    "reproduce nope",
    "reproduce table1 --images 0",
    "reproduce table1 --budget vast",
    "reproduce table1 --workers 0",
    "reproduce table1 --only nope",
    "serve --port 0",
    "fetch nope",
    "fetch gallery",
)
"""What is told from the arguments alone."""


@pytest.mark.parametrize("words", NO_TENSOR_NEEDED)
def test_nobody_waits_for_torch_to_be_listed_helped_or_refused(words, tmp_path):
    code = (
        "import runpy, sys; sys.argv = ['gradlab', *sys.argv[1:]]\n"
        "try: runpy.run_module('lab.cli', run_name='__main__')\n"
        "finally: print('loaded:', *(set(sys.modules) & {'torch', 'torchvision', 'kornia', 'scipy'}))"
    )
    command = [sys.executable, "-c", code, *words.split()]
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    done = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, check=False)
    assert "Traceback" not in done.stderr
    assert done.returncode == (0 if "--help" in words or (words.startswith("list") and "nope" not in words) else 2), done.stderr
    assert done.stdout.splitlines()[-1] == "loaded:"


def test_each_module_of_the_engine_imports_on_its_own():
    """No module leans on another having been imported first."""
    names = [".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__") for path in LAB]
    code = "import importlib, sys; [importlib.import_module(name) for name in sys.argv[1:]]"
    subprocess.run([sys.executable, "-c", code, *reversed(names)], cwd=ROOT, capture_output=True, text=True, check=True)
