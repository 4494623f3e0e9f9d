"""Numbers as a reader is told them: measured ones as powers of ten at their ends, and what is typed back as it is typed."""

import ast
import re
from pathlib import Path

import pytest

from lab.options.words import rounded

ROOT = Path(__file__).parent.parent
SOURCES = [path for folder in ("lab", "widgets") for path in sorted((ROOT / folder).rglob("*.py"))]
NO_SENTENCES = {
    "lab/capture.py": "stands alone, in a framework's own environment, and prints no such number",
    "lab/experiments/links.py": "writes links",
    "lab/options/words.py": "is the one place",
    "lab/duel/front.py": "writes a file",
    "lab/findings/change_for_gradient.py": "tells a rate that is typed back",
    "lab/studies/sweeps/tables.py": "writes tables",
    "widgets/still/figures.py": "writes axes of linear scales",
    "widgets/still/scoreboard.py": "writes a table",
}


def measured(path):
    """Where a file formats a number to significant digits, or with an exponent, by itself."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.FormattedValue) and isinstance(node.format_spec, ast.JoinedStr):
            spec = ast.unparse(node.format_spec)
            if re.search(r"(\.[^.]*[gG]|[eE])['\"]$", spec):
                yield node.lineno


def test_sentences_leave_measured_numbers_to_one_place():
    found = {str(path.relative_to(ROOT)): lines for path in SOURCES if (lines := list(measured(path)))}
    assert found.keys() == NO_SENTENCES.keys()


@pytest.mark.parametrize(
    ("number", "told"),
    [
        (0.0, "0"),
        (1.04e-6, "1·10⁻⁶"),
        (-3.16e-12, "-3.2·10⁻¹²"),
        (0.000123, "0.00012"),
        (0.5, "0.5"),
        (1760.0, "1,800"),
        (2.5e7, "2.5·10⁷"),
        (float("inf"), "inf"),
    ],
)
def test_a_measured_number_in_words(number, told):
    assert rounded(number, 2) == told
