"""Still figures: what they show is also said in words, and nothing in them is taken for markup."""

import re

import pytest
import torch

from widgets.figures import bars, curves, pictures, table


def test_each_picture_has_its_caption_as_alternative_text():
    shown = pictures(torch.full((2, 3, 8, 8), 0.3), ["a <cat>", "seen & found"])
    assert re.findall(r'alt="([^"]+)"', shown._repr_html_()) == ["a &lt;cat&gt;", "seen &amp; found"]
    assert shown._repr_html_().count("data:image/png;base64,") == 2
    assert repr(shown) == "Pictures: a <cat>; seen & found."


def test_pictures_and_captions_must_be_as_many():
    with pytest.raises(ValueError, match="shorter"):
        pictures(torch.zeros(2, 1, 4, 4), ["one"])


def test_a_table_names_its_rows_and_columns():
    shown = table(["what", "numbers"], [("picture", 3072), ("ratio", 31.67), ("leaks", True), ("long", 12345.6)])
    assert repr(shown).splitlines() == ["what\tnumbers", "picture\t3,072", "ratio\t31.7", "leaks\tyes", "long\t12,346"]
    assert shown._repr_html_().count('scope="col"') == 2
    assert shown._repr_html_().count('scope="row"') == 4


def test_bars_are_as_long_as_their_values_and_tell_gain_from_loss():
    markup = bars({"up": 2.0, "down": -1.0}, " dB")._repr_html_()
    bars_drawn = re.findall(r"margin-left:([\d.]+)%;width:([\d.]+)%;background:([^\"]+)\"", markup)
    (zero, up, gain), (left, down, loss) = bars_drawn
    assert (float(up), float(down)) == (66.7, 33.3), "twice as long"
    assert (float(zero), float(left)) == (33.3, 0.0), "both begin at zero"
    assert gain != loss
    assert "−1.00 dB" in markup


def test_numbers_of_a_column_have_the_same_digits():
    shown = repr(table(["n", "x"], [(1, 0.1), (2, 24.0), (3, 150.0), (4, 0.0), (5, -0.61)]))
    assert [row.partition("\t")[2] for row in shown.splitlines()[1:]] == ["0.100", "24.0", "150", "0", "−0.610"]


def test_a_line_that_never_moves_is_one_number_and_the_axis_ends_where_the_steps_do():
    shown = curves({"likeness": [0.0, 0.5, 1.0], "bound": [0.75] * 3}, "step", "likeness", every=5)
    assert repr(shown) == "likeness over step: likeness from 0 to 1; bound 0.75."
    assert ">step 10<" in shown._repr_html_()


def test_a_curve_is_drawn_upwards_and_told_in_words():
    shown = curves({"likeness": [0.0, 0.5, 1.0]}, "frame", "likeness")
    heights = [float(point.split(",")[1]) for point in re.search(r'points="([^"]+)"', shown._repr_html_())[1].split()]
    assert heights == sorted(heights, reverse=True)
    assert 'aria-label="likeness over frame: likeness from 0 to 1"' in shown._repr_html_()
    assert repr(shown) == "likeness over frame: likeness from 0 to 1."
