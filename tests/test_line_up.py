"""The line-up's places are told in words that agree with its verdict."""

import torch

from lab.modalities.images.line_up import THRESHOLDS, place
from lab.modalities.line_up import Verdict, ordinal


def test_ordinals():
    said = [ordinal(number) for number in (1, 2, 3, 4, 11, 12, 13, 21, 101, 112)]
    assert said == ["1st", "2nd", "3rd", "4th", "11th", "12th", "13th", "21st", "101st", "112th"]


def test_noise_never_comes_first_in_words_though_it_often_does_by_rank():
    generator = torch.Generator().manual_seed(0)
    suspects = torch.rand(8, 3, 32, 32, generator=generator)
    places = [place(torch.rand(1, 3, 32, 32, generator=generator), suspects) for _ in range(64)]
    assert 2 <= sum(rank == 1 for rank, _ in places) <= 20, "one in eight by chance"
    assert not any(THRESHOLDS.told(*one).startswith("1st") for one in places)
    assert any(THRESHOLDS.told(*one) == "like none" for one in places)
    assert {THRESHOLDS.told(*one) for one in places} >= {"2nd", "8th"}


def test_only_a_picture_that_is_somewhat_alike_is_called_first():
    for rank in range(1, 9):
        for hundredths in range(-100, 101):
            likeness = hundredths / 100
            first = THRESHOLDS.told(rank, likeness) == "1st"
            assert first == (rank == 1 and THRESHOLDS.verdict(rank, likeness) is not Verdict.HIDDEN)


def test_a_true_picture_comes_first():
    suspects = torch.rand(8, 3, 32, 32, generator=torch.Generator().manual_seed(1))
    assert THRESHOLDS.told(*place(suspects[:1], suspects)) == "1st"
