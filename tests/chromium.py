"""Chromium for the browser tests: find it, and install Debian's where that is possible.

``python -m tests.chromium`` prints where it is, installs it where it can, or says how to get one.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
FLAGS = (
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--use-fake-device-for-media-stream",
)
MISSING = (
    "There is no Chromium for the browser tests: install your system's package "
    "(Debian: apt-get install chromium), or run: playwright install chromium."
)


def find() -> str | None:
    """The path of a Chromium: one on the PATH, else the one that playwright has downloaded."""
    on_path = next((found for name in NAMES if (found := shutil.which(name))), None)
    return on_path or _playwrights_own()


def is_required() -> bool:
    """Continuous integration must not skip the browser tests."""
    return os.environ.get("CI") == "true"


def _playwrights_own() -> str | None:
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        path = playwright.chromium.executable_path
    return path if Path(path).exists() else None


def _install() -> None:
    """Debian's package; what apt-get has to say goes to standard error."""
    environment = os.environ | {"DEBIAN_FRONTEND": "noninteractive"}
    packages = ["install", "--yes", "--no-install-recommends", "chromium"]
    for arguments in (["update"], packages):
        subprocess.run(["apt-get", *arguments], env=environment, stdout=sys.stderr, check=False)


def main() -> int:
    """Exit status 0 unless a browser is required and cannot be had."""
    if find() is None and hasattr(os, "geteuid") and os.geteuid() == 0 and shutil.which("apt-get"):
        _install()
    found = find()
    print(found or MISSING)
    return 1 if found is None and is_required() else 0


if __name__ == "__main__":
    sys.exit(main())
