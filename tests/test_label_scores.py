"""Labels read off a batch are counted as they are: so many of each class, in no order."""

from dataclasses import replace
from itertools import permutations

import pytest
import torch
from rounds import as_round, observe, random_batch
from typer.testing import CliRunner

from lab.attacks.analytic import Analytic
from lab.attacks.label_reading import LabelReading, Rule
from lab.attacks.recursive import Recursive
from lab.cli import app
from lab.evaluation.label_scores import labels_right
from lab.evaluation.layers import layer_scores
from lab.evaluation.scoring import score
from lab.federated.networks.mlp import MLP
from lab.federated.networks.small_convnet import SmallConvNet
from lab.federated.observation import LabelSource
from lab.modalities.pairing import best_matching
from lab.randomness import stream


def read(batch, attack=None, network=None, source=LabelSource.INFERRED):
    """The round of a batch and the last state of an attack that is told no labels."""
    observation = observe(network or SmallConvNet(width=4), batch, source=source)
    *_, last = (attack or LabelReading()).reconstruct(observation, stream(0, "candidate"))
    return as_round(batch, observation), last


@pytest.mark.parametrize("rule", list(Rule))
def test_all_labels_right_are_all_right_in_whatever_order_the_pictures_come(rule):
    for labels in permutations((1, 2, 3, 4)):
        attacked, last = read(random_batch(4, labels=labels), LabelReading(rule))
        scores = score(attacked, last)
        assert scores.label_accuracy == labels_right(attacked, last) == 1
        assert [picture.label_recovered for picture in scores.by_input] == list(labels)


@pytest.mark.parametrize("true", [(4, 3, 2, 1), (1, 1, 2, 2), (0, 9, 0, 9), (5, 5, 5, 5)])
@pytest.mark.parametrize("found", [(1, 2, 3, 4), (0, 0, 9, 9), (5, 5, 5, 6), (7, 7, 7, 7)])
def test_every_score_counts_alike(true, found):
    """The share of the pictures is that of the whole, and repeats count as often as they are there."""
    attacked, last = read(random_batch(4, labels=true))
    last = replace(last, labels=torch.tensor(found))
    common = sum(min(true.count(label), found.count(label)) for label in range(10))
    scores = score(attacked, last)
    assert scores.label_accuracy == labels_right(attacked, last) == common / 4
    recovered = [picture.label_recovered for picture in scores.by_input]
    assert sum(mine == label for mine, label in zip(recovered, true, strict=True)) == common
    assert sorted(recovered) == sorted(found)


def test_labels_that_move_with_their_pictures_stay_with_them():
    """Optimised jointly, a label belongs to its reconstruction; how many were found is still a count."""
    attacked, last = read(random_batch(2, labels=(3, 8)), source=LabelSource.JOINT)
    swapped = replace(last, candidate=attacked.batch.images.flip(0), labels=torch.tensor([3, 8]))
    scores = score(attacked, swapped)
    assert [picture.label_recovered for picture in scores.by_input] == [8, 3]
    assert scores.label_accuracy == 1


@pytest.mark.parametrize("source", [LabelSource.KNOWN, LabelSource.INFERRED])
def test_what_closed_forms_recover_is_compared_with_the_picture_it_is_of(source):
    """Which of two pictures with the same label comes first, nothing tells."""
    for seed in range(3):
        batch = random_batch(3, labels=(6, 6, 2), seed=seed)
        attacked, last = read(batch, Recursive(hand_over=False), SmallConvNet(), source)
        if last.outcome.name == "SET_APART":
            assert score(attacked, last).max_abs_error < 1e-2
            assert max(layer.error for layer in layer_scores(attacked, last)) < 1e-2
            return
    pytest.fail("no batch was set apart")


def test_a_mixture_is_compared_with_the_picture_it_is_nearest_to():
    batch = random_batch(3, labels=(1, 2, 3))
    attacked, last = read(batch, Analytic(), MLP(width=16), LabelSource.KNOWN)
    best = min(
        float(((last.features - truth.flatten()).abs() * attacked.observation.network.normalise.std.max()).max())
        for truth in attacked.observation.network.normalise(batch.images)
    )
    assert score(attacked, last).max_abs_error <= best * 1.5


def test_what_is_no_number_is_matched_last():
    wanted = torch.tensor([[0.0], [1.0]])
    assert best_matching(wanted, torch.tensor([[float("nan")], [0.9]])).tolist() == [0, 1]


def test_the_command_line_counts_them_so():
    words = "run --dataset gallery:labels=4+3+2+1 --batch 4 --attack label_reading --labels inferred"
    told = CliRunner().invoke(app, words.split())
    assert "Labels recovered: 100 %." in told.output
