"""One round: what is sent, what is kept back, and where it is computed."""

import numpy
import pytest
import torch

from lab import Experiment, LabelSource, LabError, reconstruct, score, simulate_round
from lab.attacks.base import AttackState
from lab.attacks.gradient_matching import GradientMatching
from lab.client.datasets.npz import Npz
from lab.federated.networks.lenet import LeNet
from lab.federated.networks.mlp import MLP
from lab.machine import devices

SMALL = Experiment(network=MLP(depth=2, width=8), attack=GradientMatching(iterations=3))


def test_the_observation_holds_no_labels_unless_they_are_known():
    assert simulate_round(SMALL).observation.labels is not None
    hidden = Experiment(network=MLP(depth=2, width=8), labels=LabelSource.INFERRED)
    assert simulate_round(hidden).observation.labels is None


def test_the_line_up_starts_with_the_secret_and_holds_it_once():
    attacked = simulate_round(SMALL)
    gaps = (attacked.line_up - attacked.batch.images[:1]).abs().amax((1, 2, 3))
    assert gaps[0] == 0
    assert (gaps[1:] > 0.02).all()
    assert len(attacked.line_up) == 8


def test_the_same_seed_gives_the_same_round():
    one, two = simulate_round(SMALL), simulate_round(SMALL)
    assert all(torch.equal(one.clean_update[name], two.clean_update[name]) for name in one.clean_update)


CARD = torch.device("cuda")  # a name only: nothing is computed there


def test_only_a_full_accelerator_falls_back():
    full = RuntimeError("CUDA out of memory. Tried to allocate 2 GiB")
    assert devices.can_fall_back(full, CARD)
    assert not devices.can_fall_back(RuntimeError("shape mismatch"), CARD)
    assert not devices.can_fall_back(full, torch.device("cpu"))


def test_the_attack_starts_over_on_the_cpu_when_memory_runs_out(monkeypatch):
    attacked = simulate_round(SMALL)
    devices = iter([CARD, torch.device("cpu")])
    calls = []

    def full_at_first(self, observation, generator):
        calls.append(observation)
        if len(calls) == 1:
            raise torch.OutOfMemoryError("CUDA out of memory")
        yield AttackState(1, 1, torch.full((1, 3, 32, 32), 0.5), 0.0)

    monkeypatch.setattr(GradientMatching, "reconstruct", full_at_first)
    monkeypatch.setattr(type(attacked.observation), "device", property(lambda self: next(devices)))
    states = list(reconstruct(SMALL, attacked.observation))
    assert len(states) == 1
    assert len(calls) == 2
    assert calls[1] is not calls[0]


def test_an_ordinary_error_is_not_swallowed(monkeypatch):
    def broken(self, observation, generator):
        raise RuntimeError("shape mismatch")
        yield

    monkeypatch.setattr(GradientMatching, "reconstruct", broken)
    with pytest.raises(RuntimeError, match="shape mismatch"):
        list(reconstruct(SMALL, simulate_round(SMALL).observation))


def test_a_perfect_reconstruction_scores_perfectly():
    attacked = simulate_round(SMALL)
    scores = score(attacked, AttackState(1, 1, attacked.batch.images, 0.0))
    assert scores.line_up_rank == 1
    assert scores.ssim > 0.999
    assert scores.psnr_db > 100
    assert scores.verdict.value == "Recognisable"


def test_a_grey_picture_scores_as_the_grey_control_and_is_not_recognised():
    attacked = simulate_round(SMALL)
    scores = score(attacked, AttackState(1, 1, torch.full((1, 3, 32, 32), 0.5), 0.0))
    assert scores.psnr_db == pytest.approx(scores.grey_psnr_db)
    assert scores.verdict.value == "Not recognisable"


def test_a_label_beyond_the_networks_classes_is_a_sentence(tmp_path):
    numpy.savez(tmp_path / "many.npz", images=numpy.zeros((1, 32, 32, 3), numpy.uint8), labels=numpy.array([12]))
    beyond = Experiment(dataset=Npz(path=str(tmp_path / "many.npz")), network=LeNet(), trained=True)
    with pytest.raises(LabError, match="label 12, but the network tells 10 classes apart"):
        simulate_round(beyond)
