"""Sweeps: each experiment is measured once, kept whole, and neither lost nor counted twice when a worker dies."""

import csv
import gc
import io
import json
import os
import signal
from dataclasses import replace

import pytest
import torch
from distributed import Client, LocalCluster

from lab import reconstruct, score, simulate_round
from lab.attacks.analytic import Analytic
from lab.attacks.gradient_matching import GradientMatching
from lab.client.datasets.gallery import Gallery
from lab.errors import LabError
from lab.experiments.experiment import Experiment
from lab.federated.networks.convnet import ConvNet
from lab.federated.networks.mlp import MLP
from lab.modalities.images.registration import register
from lab.studies.base import Cell, Mark, PaperNumber, Study
from lab.studies.sweeps import tables
from lab.studies.sweeps.cluster import connected
from lab.studies.sweeps.measure import measure
from lab.studies.sweeps.provenance import fingerprint, mixed, weights_fingerprint
from lab.studies.sweeps.rows import rows
from lab.studies.sweeps.sheets import contact_sheet
from lab.studies.sweeps.statistics import estimate
from lab.studies.sweeps.store import Store, key
from lab.studies.sweeps.sweep import missing, sweep

QUICK = Experiment(network=MLP(width=8), attack=GradientMatching(iterations=2))
MANY = [replace(QUICK, seed=seed) for seed in range(12)]


@pytest.fixture(scope="module")
def client():
    """A cluster in this process: the scheduler is real, the workers are threads."""
    with (
        LocalCluster(n_workers=1, threads_per_worker=1, processes=False, dashboard_address="127.0.0.1:0") as cluster,
        Client(cluster) as client,
    ):
        yield client


def test_a_key_names_the_complete_experiment():
    assert key(QUICK) == key(Experiment.from_plain(QUICK.to_plain()))
    others = [replace(QUICK, seed=1), replace(QUICK, dataset=Gallery(first="cat")), replace(QUICK, batch_size=2)]
    assert len({key(experiment) for experiment in [QUICK, *others]}) == 4


def test_a_measurement_is_what_the_lab_itself_scores():
    result, picture = measure(QUICK.to_plain())
    attacked = simulate_round(QUICK)
    *_, last = reconstruct(QUICK, attacked.observation)
    scores = score(attacked, last)
    assert result["psnr_db"] == scores.psnr_db
    assert result["verdict"] == scores.verdict.value
    assert result["experiment"] == QUICK.to_plain()
    assert result["gradient_norm"] == pytest.approx(
        float(torch.cat([tensor.flatten() for tensor in attacked.clean_update.values()]).norm()), rel=1e-5
    )
    assert picture.startswith(b"\x89PNG")
    json.dumps(result, allow_nan=False)


def test_a_repetition_gives_the_same_numbers_but_for_the_seconds():
    first, second = (measure(QUICK.to_plain())[0] for _ in range(2))
    for timed in ("seconds", "cpu_seconds"):
        first.pop(timed), second.pop(timed)
    assert first == second


def test_a_sweep_measures_what_is_missing_and_nothing_else(tmp_path, client):
    store = Store(tmp_path)
    first = list(sweep(MANY[:3], store, client))
    assert len(first) == 3
    before = {path: path.stat().st_mtime_ns for path in tmp_path.iterdir()}
    assert [key(experiment) for experiment in missing(MANY[:5], store)] == [key(experiment) for experiment in MANY[3:5]]
    assert len(list(sweep([*MANY[:5], *MANY[:5]], store, client))) == 2
    assert all(path.stat().st_mtime_ns == then for path, then in before.items())
    assert len(list(tmp_path.glob("*.json"))) == 5


def test_a_sweep_that_is_left_goes_on_later(tmp_path, client):
    store, steps = Store(tmp_path), None
    steps = sweep(MANY[:4], store, client)
    next(steps)
    steps.close()
    assert len(missing(MANY[:4], store)) == 3
    assert len(list(sweep(MANY[:4], store, client))) == 3
    assert not missing(MANY[:4], store)


def test_an_experiment_that_cannot_be_run_says_why_and_the_others_go_on(tmp_path, client):
    impossible = replace(QUICK, trained=True, weights="nowhere.pth")
    steps = {step.experiment: step.problem for step in sweep([impossible, QUICK], Store(tmp_path), client)}
    assert steps[QUICK] == ""
    assert "no file of weights" in steps[impossible]
    assert len(list(tmp_path.glob("*.json"))) == 1


@pytest.mark.slow
def test_nothing_is_lost_or_counted_twice_when_a_worker_dies(tmp_path):
    store, seen = Store(tmp_path), []
    slower = [replace(each, attack=GradientMatching(iterations=150)) for each in MANY]
    with connected(2) as client:
        before = {worker["pid"] for worker in client.run(_who).values()}
        for step in sweep(slower, store, client):
            seen.append(key(step.experiment))
            if len(seen) == 2:
                os.kill(min(before), signal.SIGKILL)
        after = {worker["pid"] for worker in client.run(_who).values()}
    assert min(before) not in after, "the killed worker was not replaced"
    assert sorted(seen) == sorted(map(key, slower)), "an experiment was lost or came twice"
    assert len(list(tmp_path.glob("*.json"))) == len(slower)
    assert [store.read(each)["experiment"] for each in slower] == [each.to_plain() for each in slower]


def _who():
    return {"pid": os.getpid()}


@pytest.mark.slow
def test_a_scheduler_elsewhere(tmp_path):
    with (
        LocalCluster(
            n_workers=1, threads_per_worker=1, processes=False, dashboard_address="127.0.0.1:0", protocol="tcp"
        ) as cluster,
        connected(1, cluster.scheduler_address) as client,
    ):
        assert len(list(sweep(MANY[:2], Store(tmp_path), client))) == 2


@pytest.mark.parametrize("address", ["tcp://127.0.0.1:9", "tls://127.0.0.1:9", "ucx://127.0.0.1:9", "x://y", "y"])
def test_a_scheduler_that_does_not_answer(address, monkeypatch):
    monkeypatch.setattr("lab.studies.sweeps.cluster.PATIENCE", "0.3s")
    with pytest.raises(LabError, match=rf"No Dask scheduler answers at {address}.*start one by 'dask scheduler'"):
        connected(1, address).__enter__()
    gc.collect()  # a client that failed is closed as it is collected, which may not come to pass while another starts


DAMAGES = {
    "empty": lambda whole: b"",
    "cut short": lambda whole: whole[: len(whole) // 2],
    "zeros": lambda whole: bytes(len(whole)),
    "not text": lambda whole: b"\xff" + whole,
    "another kind": lambda whole: b"[1, 2]",
    "a number": lambda whole: b"7",
    "no numbers": lambda whole: b"{}",
    "nested": lambda whole: b"[" * 100_000,
}


@pytest.mark.parametrize("damage", DAMAGES.values(), ids=DAMAGES)
def test_a_damaged_result_is_measured_again(damage, client, tmp_path):
    store = Store(tmp_path)
    list(sweep([QUICK], store, client))
    (path,) = tmp_path.glob("*.json")
    whole = path.read_bytes()
    path.write_bytes(damage(whole))
    assert missing([QUICK], store) == [QUICK]
    assert store.read(QUICK) is None
    assert [step.problem for step in sweep([QUICK], store, client)] == [""]
    assert json.loads(path.read_bytes())["psnr_db"] == json.loads(whole)["psnr_db"]


def test_what_a_table_mixes_is_said():
    first = measure(QUICK.to_plain())[0]
    again, other = json.loads(json.dumps(first)), json.loads(json.dumps(first))
    assert first["fingerprint"] == measure(replace(QUICK, attack=Analytic()).to_plain())[0]["fingerprint"]
    assert first["fingerprint"] != measure(replace(QUICK, dataset=Gallery(first="cat")).to_plain())[0]["fingerprint"]
    assert mixed([]) == mixed([first]) == mixed([first, again]) == []
    assert "different pictures" in mixed([first, other | {"fingerprint": "0"}])[0]
    assert "torch" in mixed([first, other | {"versions": first["versions"] | {"torch": "1.0"}}])[0]
    assert "unknown" in mixed([first, {name: value for name, value in other.items() if name != "versions"}])[0]


def test_trained_weights_are_kept_with_the_result_and_a_replaced_file_is_told(tmp_path):
    """One name, other numbers: what a file of weights is called says nothing of what is in it."""
    path = tmp_path / "mine.pth"
    asked = replace(QUICK, trained=True, weights=str(path))
    found = []
    for seed in (0, 1, 1):
        torch.save(simulate_round(replace(QUICK, seed=seed)).observation.network.state_dict(), path)
        found.append(measure(asked.to_plain())[0])
    assert "trained weights" in mixed(found[:2])[0]
    assert mixed(found[1:]) == []
    assert "weights_fingerprint" not in measure(QUICK.to_plain())[0], "fresh ones are told by the seed"


def test_the_fingerprint_of_weights_holds_their_statistics_and_normalisation():
    network = simulate_round(replace(QUICK, network=ConvNet(width=4))).observation.network
    prints = {weights_fingerprint(network)}
    for tensor in (network.normalise.mean, network.normalise.std, *network.state_dict().values()):
        tensor.add_(1)
        prints.add(weights_fingerprint(network))
    assert len(prints) == 3 + len(network.state_dict())


def test_labels_belong_to_the_fingerprint_of_pictures():
    batch = simulate_round(QUICK).batch
    assert fingerprint(batch) == fingerprint(replace(batch))
    assert fingerprint(batch) != fingerprint(replace(batch, labels=batch.labels + 1))
    assert fingerprint(batch) != fingerprint(replace(batch, inputs=batch.images.clone().fill_(0.5)))


def result(picture, seed, value):
    return {"experiment": {"dataset": {"first": picture}, "seed": seed}, "psnr_db": value}


def test_an_estimate_averages_seeds_first_and_takes_pictures_as_the_unit():
    found = estimate([result(p, s, v) for p, s, v in ((0, 0, 10.0), (0, 1, 14.0), (1, 0, 20.0), (1, 1, 20.0))], "psnr_db")
    assert found.mean == 16
    assert found.spread == pytest.approx(32**0.5)
    half = 12.7062047 * 32**0.5 / 2**0.5  # Student's 97.5 % point with one degree of freedom
    assert (found.low, found.high) == pytest.approx((16 - half, 16 + half))
    assert str(estimate([result(0, 0, 3.0)], "psnr_db")) == "3.00"
    seeds = estimate([result(0, 0, 1.0), result(0, 1, 3.0)], "psnr_db")
    assert (seeds.mean, seeds.spread) == (2, pytest.approx(2**0.5))
    assert estimate([result(0, 0, None)], "psnr_db") is None


def test_registration_finds_a_shift_and_undoes_it():
    generator = torch.Generator().manual_seed(0)
    picture = torch.rand(3, 16, 16, generator=generator)
    found = register(picture.roll((3, -5), (1, 2)), picture)
    assert (found.down, found.right) == (3, -5)
    assert found.psnr_db == pytest.approx(150)
    noisy = (picture + 0.1 * torch.randn(3, 16, 16, generator=generator)).roll((-7, 8), (1, 2))
    assert (register(noisy, picture).down, abs(register(noisy, picture).right)) == (-7, 8)
    assert register(noisy, picture).psnr_db == pytest.approx(20, abs=1)


class TwoCells(Study):
    """A study that is no part of the catalogue."""

    kind = "none"
    title, paper_item, extra_columns = "Two cells", "Nowhere", ("outcome",)

    def cells(self):
        algebra = replace(QUICK, attack=Analytic())
        return (
            Cell("algebra", (algebra,), PaperNumber(99.0, 1.5, Mark.RECALLED), "nothing much"),
            Cell("never run", (replace(QUICK, seed=77),)),
        )


def test_tables_tell_what_was_run_and_what_was_not(tmp_path):
    store, study = Store(tmp_path), TwoCells()
    algebra = study.cells()[0].experiments[0]
    store.write(algebra, measure(algebra.to_plain()))
    found = rows(study, store)
    text = tables.markdown(study, found)
    assert "99.00 ± 1.50 dB (recalled, unverified)" in text
    assert "| never run |  | not run |" in text
    assert "EXACT" in text
    table = list(csv.DictReader(io.StringIO(tables.as_csv(study, found))))
    assert float(table[0]["psnr_db"]) > 60
    assert table[0]["paper_mark"] == "recalled, unverified"
    assert (table[1]["psnr_db"], table[1]["runs"]) == ("", "0")
    data = json.loads(tables.as_json(study, found))
    assert Experiment.from_plain(data["cells"][0]["experiments"][0]["experiment"]) == algebra
    assert contact_sheet(found, store).startswith(b"\x89PNG")


class HalfDone(Study):
    """A study whose runs were stopped half-way."""

    kind = "none"

    def cells(self):
        return (Cell("half", (QUICK, replace(QUICK, seed=1)), None, "small pictures"), Cell("whole", (QUICK,)))


def test_a_table_owns_up_to_runs_that_are_missing(tmp_path):
    store = Store(tmp_path)
    store.write(QUICK, measure(QUICK.to_plain()))
    found = rows(HalfDone(), store)
    assert [row.scaled_down for row in found] == ["so far 1 of 2 runs; small pictures", ""]
    told = list(csv.DictReader(io.StringIO(tables.as_csv(HalfDone(), found))))
    assert told[0]["scaled_down"] == found[0].scaled_down
