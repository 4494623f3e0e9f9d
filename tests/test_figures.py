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
    widths = re.findall(r"width:([\d.]+)%;background:([^\"]+)\"", markup)
    assert [float(width) for width, _ in widths] == [100.0, 50.0]
    assert widths[0][1] != widths[1][1]
    assert "-1 dB" in markup


def test_a_curve_is_drawn_upwards_and_told_in_words():
    shown = curves({"likeness": [0.0, 0.5, 1.0]}, "frame", "likeness")
    heights = [float(point.split(",")[1]) for point in re.search(r'points="([^"]+)"', shown._repr_html_())[1].split()]
    assert heights == sorted(heights, reverse=True)
    assert 'aria-label="likeness over frame: likeness from 0 to 1"' in shown._repr_html_()
    assert repr(shown) == "likeness over frame: likeness from 0 to 1."
