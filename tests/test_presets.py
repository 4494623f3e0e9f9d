"""Presets tell the truth: each reaches the verdict that it promises, and keeps the settings of its paper."""

import pytest

from lab import reconstruct, score, simulate_round
from lab.attacks.gradient_matching import GradientMatching
from lab.attacks.matching.optimisers.base import Schedule
from lab.attacks.matching.optimisers.signed_adam import SignedAdam
from lab.attacks.matching.priors.total_variation import TotalVariation
from lab.attacks.matching.settings import Start, Steps
from lab.errors import LabError
from lab.experiments.experiment import Experiment
from lab.experiments.presets import PRESETS, find_preset
from lab.experiments.references import PAPERS, citation
from lab.federated.networks.lenet import LeNet
from lab.federated.observation import LabelSource
from lab.federated.protocols.fedavg import FedAvg

QUICK = ("analytic_mlp", "default", "recursive")


def final(experiment):
    attacked = simulate_round(experiment)
    *_, last = reconstruct(experiment, attacked.observation)
    return score(attacked, last)


@pytest.mark.parametrize("name", [pytest.param(name, marks=() if name in QUICK else pytest.mark.slow) for name in PRESETS])
def test_each_preset_reaches_the_verdict_that_it_promises(name):
    preset = PRESETS[name]
    assert final(preset.experiment).verdict is preset.expected


@pytest.mark.parametrize("name", PRESETS)
def test_each_preset_is_told_and_survives_its_json(name):
    preset = PRESETS[name]
    assert preset.name == name
    for text in (preset.title, preset.explanation, preset.paper_item, preset.scaled_down):
        assert text.strip()
    assert Experiment.from_plain(preset.experiment.changes()) == preset.experiment


def test_the_papers_settings_in_pixel_units():
    """Table 1: signed Adam 0.1 and TV 1e-2 on values (pixel - mean) / std with std 0.25, 4,800 iterations."""
    chosen = PRESETS["geiping2020"].experiment
    attack = chosen.attack
    assert isinstance(chosen.network, LeNet)
    assert isinstance(attack, GradientMatching)
    assert attack.optimiser == SignedAdam(step=0.025, schedule=Schedule.STEPS)
    assert attack.priors == (TotalVariation(weight=0.04, relative=False),)
    assert (attack.iterations, attack.start, attack.boxed, attack.coarse_to_fine) == (4800, Start.NOISE, True, False)


def test_unknown_presets():
    with pytest.raises(LabError, match="Did you mean 'default'"):
        find_preset("defalt")


def keys(experiment):
    by_text = {str(paper): key for key, paper in PAPERS.items()}
    return [by_text[str(paper)] for paper in citation(experiment)]


def test_citations_follow_the_methods_in_use():
    assert keys(Experiment()) == ["geiping2020"]
    assert keys(PRESETS["zhu2019"].experiment) == ["zhu2019", "geiping2020"]
    averaged = Experiment(protocol=FedAvg(local_steps=1), labels=LabelSource.INFERRED)
    assert keys(averaged) == ["mcmahan2017", "geiping2020", "zhao2020"]
    assert keys(Experiment(protocol=FedAvg())) == ["mcmahan2017", "geiping2020", "zhu2023"]
    simulated = GradientMatching(local_steps=Steps.SIMULATED)
    assert keys(Experiment(protocol=FedAvg(), attack=simulated)) == ["mcmahan2017", "geiping2020"]
    assert keys(PRESETS["recursive"].experiment) == ["zhu2021"]
    assert "wainakh2022" in keys(Experiment(batch_size=2, labels=LabelSource.INFERRED))


def test_a_reference_reads_like_one():
    text = str(PAPERS["zhu2019"])
    assert text == "L. Zhu, Z. Liu, S. Han: Deep Leakage from Gradients. NeurIPS 2019, arXiv 1906.08935."
