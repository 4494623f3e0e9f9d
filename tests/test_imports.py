"""Who may import whom, and what ``import lab`` costs, told by modules and not by the clock."""

import ast
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


def test_each_module_of_the_engine_imports_on_its_own():
    """No module leans on another having been imported first."""
    names = [".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__") for path in LAB]
    code = "import importlib, sys; [importlib.import_module(name) for name in sys.argv[1:]]"
    subprocess.run([sys.executable, "-c", code, *reversed(names)], cwd=ROOT, capture_output=True, text=True, check=True)
