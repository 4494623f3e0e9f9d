"""Spoilt updates for both contenders: what was done to them, the seconds they get, and the table."""

import pytest
import torch
from rounds import observe, smooth_batch

from benchmarks import spoilt
from benchmarks.cases import Pictures
from benchmarks.clock import Span
from benchmarks.spoilt import BREACHING, OURS, WAYS, Ended
from lab.attacks.matching.defence_detection import DetectedDefence, detect_defence
from lab.federated.networks.small_convnet import SmallConvNet
from lab.randomness import stream

READ = {
    "signs": DetectedDefence.SIGNS,
    "pruned by 99 %": DetectedDefence.SPARSE,
    "noise as long as the gradient": DetectedDefence.NOISE,
    "int8": DetectedDefence.PLAIN,
}


@pytest.fixture(scope="module")
def clean():
    return observe(SmallConvNet(), smooth_batch()).update


def test_an_update_is_spoilt_as_the_name_says(clean):
    sent = {name: way(clean, stream(0, "defence")) for name, way in WAYS.items()}
    whole = {name: torch.cat([tensor.flatten() for tensor in update.values()]) for name, update in sent.items()}
    true = torch.cat([tensor.flatten() for tensor in clean.values()])
    assert set(whole["signs"].unique().tolist()) <= {-1.0, 0.0, 1.0}
    assert float(whole["pruned by 99 %"].ne(0).float().mean()) == pytest.approx(0.01, abs=1e-4)
    assert float((whole["noise as long as the gradient"] - true).norm() / true.norm()) == pytest.approx(1, abs=0.02)
    for name, tensor in sent["int8"].items():
        assert len(tensor.unique()) <= 255
        assert float((tensor - clean[name]).abs().max()) <= 0.51 * float(clean[name].abs().max()) / 127


@pytest.mark.parametrize("who", [OURS, BREACHING])
def test_the_budget_is_what_the_seconds_allow(who, monkeypatch):
    """At 0.1 s an iteration, 0.6 s are six, and the one run that counts has them."""
    experiment, attacked = spoilt.spoilt_round("signs", spoilt.CASE, Pictures(None), 0, 0)
    monkeypatch.setattr(spoilt, "some_of", lambda contender, device, count: [Span(0.1, 9.0)] * count)
    run = spoilt.ours(experiment, attacked, 0.6) if who == OURS else spoilt.breaching(attacked, 0, 0.1, 0.6)
    assert run.iterations == 6


def test_what_is_read_off_each_of_them():
    for way, trace in READ.items():
        _, attacked = spoilt.spoilt_round(way, spoilt.CASE, Pictures(None), 0, 0)
        assert detect_defence(attacked.observation).trace is trace, way


def test_the_table_takes_breachings_best_weight_and_survives_the_disk(tmp_path):
    runs = [
        Ended("signs", OURS, 1, 0, 10, 2.0, 0.8, 20.0),
        Ended("signs", OURS, 2, 0, 10, 4.0, 0.6, 18.0),
        *(Ended("signs", BREACHING, 1, 0, 10, 3.0, ssim, 15.0, tv) for ssim, tv in ((0.3, 0.1), (0.5, 0.2))),
        Ended("int8", OURS, 1, 0, 10, 2.0, 0.9, 30.0),
    ]
    path = tmp_path / "runs.jsonl"
    for run in runs:
        spoilt.keep(run, path)
    assert spoilt.read(path) == runs
    text = spoilt.markdown(runs)
    assert "| signs | 2 | 0.70, 19.0, 3.0 | 0.50, 15.0, 3.0 | 0.2 | 1 of 1 |" in text
    assert "| int8 | 1 | 0.90, 30.0, 2.0 |  |  |  |" in text
    assert spoilt.best_variations(runs) == {"signs": 0.2}


def test_a_stopped_race_goes_on_with_the_weight_that_was_chosen_on_other_pictures(tmp_path, monkeypatch):
    choice, path, fought = tmp_path / "choice", tmp_path / "runs", []
    for ssim, weight in ((0.3, 0.1), (0.5, 0.7)):
        spoilt.keep(Ended("signs", BREACHING, 100, 0, 10, 3.0, ssim, 15.0, weight), choice)
    spoilt.keep(Ended("signs", OURS, 360, 0, 10, 2.0, 0.8, 20.0), path)
    monkeypatch.setattr(spoilt, "measured", lambda bouts, source, budget_s: fought.extend(bouts) or iter(()))
    monkeypatch.setattr("sys.argv", ["spoilt", str(path), "--choice", str(choice), "--way", "signs", "--count", "2"])
    spoilt.main()
    assert [(bout.who, bout.picture, bout.total_variation) for bout in fought] == [
        (BREACHING, 360, 0.7),
        (OURS, 361, None),
        (BREACHING, 361, 0.7),
    ]
