"""SECURITY.md promises nothing that is not tested, and teaches nobody how to attack."""

import ast
import re
from pathlib import Path

ROOT = Path(__file__).parent.parent
TEXT = (ROOT / "SECURITY.md").read_text()
NAMED = re.findall(r"`(tests/\w+\.py)::(\w+)`", TEXT)


def named_in(path):
    """The names of the tests in a file, those in classes among them."""
    nodes = ast.walk(ast.parse((ROOT / path).read_text()))
    return {node.name for node in nodes if isinstance(node, ast.FunctionDef) and node.name.startswith("test_")}


def test_every_promise_names_tests_that_exist():
    assert [f"{path}::{name}" for path, name in NAMED if name not in named_in(path)] == []
    promises = TEXT.split("## What is promised")[1].split("\n## ")[0]
    rows = [line for line in promises.splitlines() if line.startswith("| ") and not line.startswith("| promise")]
    assert len(rows) > 10
    assert [row for row in rows if "`tests/" not in row] == []


def test_a_mention_of_a_test_is_a_whole_name():
    assert len(re.findall(r"::", TEXT)) == len(NAMED)


def test_where_to_report_is_said_and_no_address_is_made_up():
    assert "Report a vulnerability" in TEXT
    assert "@" not in TEXT
