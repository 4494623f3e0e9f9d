"""Still figures: what they show is also said in words, and nothing in them is taken for markup."""

import base64
import io
import math
import re

import numpy as np
import pytest
import torch
from PIL import Image, ImageColor

from lab.attacks.base import RecoveredPart
from lab.modalities.graphs.building import batch_of
from lab.modalities.graphs.line_notation import ATOMS, parse
from widgets.still.figures import HUES, bars, curves, dots, pictures, said, table
from widgets.still.gaps import gaps
from widgets.still.molecules import molecules


def test_each_picture_has_its_caption_as_alternative_text():
    shown = pictures(torch.full((2, 3, 8, 8), 0.3), ["a <cat>", "seen & found"])
    assert re.findall(r'alt="([^"]+)"', shown._repr_html_()) == ["a &lt;cat&gt;", "seen &amp; found"]
    assert shown._repr_html_().count("data:image/png;base64,") == 2
    assert repr(shown) == "Pictures: a <cat>; seen & found."


def test_pictures_and_captions_must_be_as_many():
    with pytest.raises(ValueError, match="shorter"):
        pictures(torch.zeros(2, 1, 4, 4), ["one"])


def test_a_table_names_its_rows_and_columns():
    rows = [("picture", 3072), ("ratio", 31.67), ("leaks", True), ("long", 12345.6), ("below", -1234)]
    shown = table(["what", "numbers"], rows)
    assert [row.split("\t")[1] for row in repr(shown).splitlines()] == ["numbers", "3,072", "31.7", "yes", "12,346", "−1,234"]
    assert shown._repr_html_().count('scope="col"') == 2
    assert shown._repr_html_().count('scope="row"') == 5


def drawn(shown):
    """The pictures in a figure's HTML, as arrays of (height, width, channels)."""
    sources = re.findall(r'src="data:image/png;base64,([^"]+)"', shown._repr_html_())
    return [np.asarray(Image.open(io.BytesIO(base64.b64decode(source)))) for source in sources]


def test_bars_are_as_long_as_their_values_and_tell_gain_from_loss():
    shown = bars({"up": 2.0, "down": -1.0}, " dB")
    up, down = (strip[0, :, :3] * (strip[0, :, 3:] > 0) for strip in drawn(shown))
    coloured = [np.flatnonzero(strip.max(1) != strip.min(1)) for strip in (up, down)]
    assert [len(places) for places in coloured] == [132, 67], "twice as long, but for the line at zero"
    assert coloured[1].max() < coloured[0].min(), "one goes left from zero, the other right"
    assert not np.array_equal(up[100], down[10]), "gain and loss differ in colour"
    assert "−1.00 dB" in shown._repr_html_()


FIGURES = [
    bars({"up": 2.0, "down": -1.0}),
    curves({"a": [1.0, 2.0], "b": [2.0, 1.0]}, "step", "cost"),
    dots({"a": [(1.0, 2.0)], "b": [(2.0, 1.0)]}, "price", "leak"),
    pictures(torch.full((1, 3, 8, 8), 0.3), ["grey"]),
    table(["a", "b"], [(1, 2.0)]),
    said("A sentence."),
    gaps([RecoveredPart("rabbit", 2e-8, "hare", 0.5), RecoveredPart("hole", 1e-7, "", math.inf)]),
    molecules([batch_of([parse("CO")], len(ATOMS))], ["methanol"]),
]


@pytest.mark.parametrize("shown", FIGURES, ids=("bars", "curves", "dots", "pictures", "table", "said", "gaps", "molecules"))
def test_a_copy_that_is_not_trusted_shows_the_same(shown):
    """It keeps tables, text and pictures with their attributes; it drops SVG, scripts and styles."""
    markup = shown._repr_html_()
    assert not re.search(r"<(svg|script|canvas|style|object|iframe)\b", markup)
    bare = re.sub(r' style="[^"]*"', "", markup)
    images = re.findall("<img [^>]+>", bare)
    assert all('src="data:image/png;base64,' in image and "alt=" in image for image in images)
    assert all(" width=" in image for image in images)
    assert not re.search(r"[^-]width:100%", markup), "JupyterLab lays tables of a set width out in equal columns"


def test_numbers_of_a_column_have_the_same_digits():
    shown = repr(table(["n", "x"], [(1, 0.1), (2, 24.0), (3, 150.0), (4, 0.0), (5, -0.61)]))
    assert [row.partition("\t")[2] for row in shown.splitlines()[1:]] == ["0.100", "24.0", "150", "0", "−0.610"]


def test_a_line_that_never_moves_is_one_number():
    shown = curves({"likeness": [0.0, 0.5, 1.0], "bound": [0.75] * 3}, "step", "likeness", every=5)
    assert repr(shown) == "likeness over step: likeness from 0 to 1; bound 0.75."
    assert 'alt="likeness over step: likeness from 0 to 1; bound 0.75"' in shown._repr_html_()


def test_a_curve_is_drawn_upwards_from_left_to_right():
    (plot,) = drawn(curves({"likeness": [0.0, 0.5, 1.0]}, "frame", "likeness"))
    leaks = np.array([217, 72, 15])
    rows, columns = np.nonzero(np.abs(plot[..., :3].astype(int) - leaks).max(2) < 20)
    assert np.corrcoef(rows, columns)[0, 1] < -0.99
    assert plot[0, 0, :3].tolist() == [255, 255, 255], "on white, whatever the theme"


def test_a_mark_stands_for_each_pair_right_for_more_and_up_for_more():
    shown = dots({"a": [(0.2, 0.1), (0.9, 0.8)], "<b>": [(0.5, 0.5)]}, "price", "leak")
    assert (
        repr(shown)
        == "leak over price: a (2), from 0.1 to 0.8 between 0.2 and 0.9; <b> (1), from 0.5 to 0.5 between 0.5 and 0.5."
    )
    assert "&lt;b&gt;" in shown._repr_html_()
    (plot,) = drawn(shown)
    high, wide = np.nonzero(np.abs(plot[..., :3].astype(int) - [225, 109, 58]).max(2) < 6)
    high, wide = high[high < 560], wide[high < 560]  # the key stands below
    left, right = wide < wide.mean(), wide > wide.mean()
    assert high[left].mean() > high[right].mean() + 50


def test_what_fits_stands_left_of_what_does_not_by_its_powers_of_ten():
    shown = gaps([RecoveredPart("<rabbit>", 1e-6, "hare", 1e-3), RecoveredPart("hole", 0.0, "", math.inf)])
    assert repr(shown).splitlines()[1:] == ["1\t<rabbit>\t1·10⁻⁶\t\t0.001\thare", "2\thole\t0\t\tinf\tnone"]
    assert "&lt;rabbit&gt;" in shown._repr_html_()
    one, other = ([_across(strip, hue) for hue in (HUES[0], HUES[3])] for strip in drawn(shown))
    assert one == pytest.approx([4 + 192 / 3, 4 + 192 * 2 / 3], abs=1)
    assert other == pytest.approx([4, 196], abs=1), "what is beyond the scale stands at its end"


def _across(strip, hue):
    """The middle of a dot of this colour."""
    there = (strip[:, :, :3] == ImageColor.getrgb(hue)).all(2).any(0)
    return float(np.flatnonzero(there).mean())


def test_molecules_stand_side_by_side_and_the_same_one_looks_the_same_in_any_order():
    one, again, other = (batch_of([parse(line)], len(ATOMS), size=5) for line in ("CC=O", "O=CC", "CCN"))
    shown = molecules([one, again, other], ["one", "the <same>", "another"])
    assert repr(shown) == "Graphs: one: 2 C, 1 O, 2 bonds; the <same>: 2 C, 1 O, 2 bonds; another: 2 C, 1 N, 2 bonds."
    assert 'alt="the &lt;same&gt;: 2 C, 1 O, 2 bonds"' in shown._repr_html_()
    first, second, third = drawn(shown)
    assert np.array_equal(first, second)
    assert not np.array_equal(first, third)
