"""Epsilon at every door: what a run promises, the noise for an epsilon that is asked for, and what nobody can promise."""

import json
import math
import sys
import warnings
from dataclasses import replace

import pytest
from typer.testing import CliRunner

from lab.cli import app
from lab.client.accountant import Mechanism, NoisySums, epsilon, noise_multiplier
from lab.client.defences.dp_fedavg import DPFedAvg
from lab.client.defences.dp_sgd import DPSGD
from lab.client.defences.mixup import Mixup
from lab.client.defences.pruning import Pruning
from lab.errors import LabError
from lab.experiments.experiment import Experiment
from lab.experiments.privacy_guarantees import calibrated, guarantee_sentences, guarantees_as_data
from lab.experiments.rounds import simulate_round
from lab.federated.networks.mlp import MLP
from lab.federated.protocols.fedavg import FedAvg
from lab.federated.protocols.secure_sum import SecureSum
from lab.federation import privacy_guarantees as of_federation
from lab.federation.settings import Federation
from lab.federation.shards import Shards
from lab.options.catalogue import entries
from lab.options.words import rounded
from widgets.run.frames import describe_round

with warnings.catch_warnings():
    warnings.simplefilter("ignore")
    pytest.importorskip("opacus", reason="pip install .[opacus]")
    from opacus.accountants import RDPAccountant
    from opacus.accountants.utils import get_noise_multiplier

DELTA = 1e-5
SMALL = Federation(
    network=MLP(width=8), clients=4, sampled=3, rounds=5, pictures=24, protocol=FedAvg(local_steps=3, batch_size=8)
)
QUICK = ("run", "--network", "mlp:depth=2,width=8", "--iterations", "1")


def sought(wanted, delta, rate, steps):
    """Opacus' own answer."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return get_noise_multiplier(target_epsilon=wanted, target_delta=delta, sample_rate=rate, steps=steps, accountant="rdp")


def accounted(multiplier, rate, steps, delta):
    """Opacus' accountant, step by step."""
    accountant = RDPAccountant()
    for _ in range(steps):
        accountant.step(noise_multiplier=multiplier, sample_rate=rate)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return accountant.get_epsilon(delta)


@pytest.mark.parametrize(
    ("wanted", "delta", "rate", "steps"),
    [(3.0, DELTA, 0.2, 150), (0.5, 1e-3, 1.0, 30), (2.0, DELTA, 0.05, 7), (8.0, 0.1, 1.0, 1)],
)
def test_the_noise_for_an_epsilon_is_that_of_opacus_and_keeps_it(wanted, delta, rate, steps):
    found = noise_multiplier([NoisySums("example", "every update", rate, steps)], wanted, delta)
    assert found == pytest.approx(sought(wanted, delta, rate, steps), abs=1e-6)
    assert wanted - 0.01 <= epsilon(Mechanism(found, rate, steps), delta) <= wanted


@pytest.mark.parametrize(("rate", "steps"), [(1.0, 1), (0.1, 30)])
def test_at_the_usual_delta_no_noise_keeps_a_tenth_and_some_keeps_little_more(rate, steps):
    """As the document says: the accountant's orders end, and with them what noise can do."""
    assert noise_multiplier([NoisySums("example", "", rate, steps)], 0.11, 1e-5) < 100
    with pytest.raises(LabError, match=r"No noise keeps epsilon = 0\.1 at delta = 1e-05"):
        noise_multiplier([NoisySums("example", "", rate, steps)], 0.1, 1e-5)


def test_the_noise_is_for_whoever_is_worst_off():
    """Truth: Opacus asked for each; some are worse in one respect and better in another."""
    all_of_them = [
        NoisySums("example", "", 0.2, 30),
        NoisySums("example", "", 0.1, 60),
        NoisySums("example", "", 0.1, 30),
        NoisySums("example", "", 0.5, 0),
    ]
    found = noise_multiplier(all_of_them, 1.0, DELTA)
    assert found == max(sought(1.0, DELTA, one.rate, one.steps) for one in all_of_them if one.steps)


@pytest.mark.parametrize("defences", [(), (DPSGD(longest=0.3), Pruning()), (DPFedAvg(multiplier=7.0),)], ids=str)
def test_a_federation_keeps_the_epsilon_that_it_was_asked_for(defences):
    settings = replace(SMALL, defences=defences)
    shards = Shards.of(settings)
    kept = of_federation.calibrated(settings, shards, 1.0, DELTA)
    drawn = [sum(client in settings.drawn(number) for number in range(1, 6)) for client in range(4)]
    noisy = kept.defences[0]
    if isinstance(noisy, DPFedAvg):
        assert noisy.multiplier == sought(1.0, DELTA, 1.0, max(drawn))
    else:
        each = [sought(1.0, DELTA, min(8, len(own)) / len(own), 3 * drawn[client]) for client, own in enumerate(shards.owned)]
        assert noisy == DPSGD(longest=0.3 if defences else 1.0, multiplier=max(each))
    assert kept.defences[1:] == defences[1:]
    assert all(promise.epsilon <= 1.0 for promise in of_federation.guarantees(kept, shards, DELTA))


@pytest.mark.parametrize(
    ("change", "rate", "steps"),
    [
        ({}, 1.0, 1),
        ({"batch_size": 4, "rounds": 5}, 1.0, 5),
        ({"batch_size": 4, "rounds": 2, "protocol": FedAvg(local_steps=3, batch_size=2)}, 0.5, 6),
        ({"batch_size": 4, "protocol": SecureSum(clients=2, local_steps=3)}, 1.0, 3),
    ],
)
def test_a_run_promises_what_opacus_accounts_for_its_steps(change, rate, steps):
    run = replace(Experiment(**change), defences=(DPSGD(multiplier=2.0),))
    (promise,) = guarantees_as_data(run, DELTA)
    assert promise["epsilon"] == pytest.approx(accounted(2.0, rate, steps, DELTA), abs=1e-6)
    assert (promise["whose"], promise["multiplier"], promise["rate"], promise["steps"]) == ("example", 2.0, rate, steps)
    told, assumed = guarantee_sentences(run, DELTA)
    assert told == promise["told"]
    assert f"epsilon = {rounded(promise['epsilon'], 3)} at delta = 1e-05" in told
    assert assumed == promise["assumed"]
    assert ("one round" if run.rounds == 1 else f"{run.rounds} rounds") in assumed


@pytest.mark.parametrize("defence", [DPSGD(longest=2.0), DPFedAvg()], ids=lambda defence: defence.name)
def test_a_run_keeps_the_epsilon_that_it_was_asked_for(defence):
    run = Experiment(rounds=5, batch_size=4, defences=(Pruning(), defence))
    expected = replace(defence, multiplier=sought(0.7, DELTA, 1.0, 5))
    assert calibrated(run, 0.7, DELTA).defences == (Pruning(), expected)
    (promise,) = guarantees_as_data(replace(run, defences=(expected,)))
    assert 0.69 <= promise["epsilon"] <= 0.7
    (alone,) = calibrated(replace(run, defences=()), 0.7, DELTA).defences
    assert alone == DPSGD(multiplier=expected.multiplier)


@pytest.mark.parametrize("entry", entries("protocol").values(), ids=lambda entry: entry.name)
def test_every_protocol_of_the_catalogue_is_accounted_step_by_step(entry):
    run = Experiment(batch_size=4, rounds=2, protocol=entry(), defences=(DPSGD(multiplier=2.0),))
    (promise,) = guarantees_as_data(run, DELTA)
    steps = [4 if rows is None else len(rows) for rows in run.protocol.steps(4).rows]
    assert (promise["rate"], promise["steps"]) == (max(steps) / 4, 2 * len(steps))


def test_a_runs_client_is_promised_something_too():
    run = Experiment(defences=(DPFedAvg(multiplier=2.0),), rounds=3, batch_size=4)
    (promise,) = guarantees_as_data(run, DELTA)
    assert (promise["whose"], promise["epsilon"]) == ("client", pytest.approx(accounted(2.0, 1.0, 3, DELTA), abs=1e-6))
    (summed,) = guarantees_as_data(replace(run, protocol=SecureSum()), DELTA)
    assert summed["multiplier"] == 1.0, "one client can turn the mean of both about"
    assert [one["whose"] for one in guarantees_as_data(replace(run, defences=(DPFedAvg(), DPSGD())))] == ["example", "client"]


def test_the_page_says_the_same_sentences_under_the_secret():
    run = Experiment(network=MLP(depth=2, width=8), defences=(DPSGD(multiplier=2.0),), batch_size=2)
    assert describe_round(run, simulate_round(run))["notes"] == guarantee_sentences(run)
    free = replace(run, defences=())
    assert describe_round(free, simulate_round(free))["notes"] == []


def test_what_promises_nothing_says_so_or_nothing():
    assert guarantees_as_data(Experiment(defences=(Pruning(),))) == guarantee_sentences(Experiment()) == []
    (broken,) = guarantee_sentences(Experiment(batch_size=2, defences=(DPSGD(), Mixup())))
    assert "none is promised, for mixup comes after dp_sgd" in broken
    (none, _) = guarantee_sentences(Experiment(defences=(DPSGD(multiplier=0.0),)))
    assert "none, for there is no noise" in none


def gradlab(*words):
    done = CliRunner().invoke(app, [str(word) for word in words])
    if isinstance(done.exception, LabError):
        return str(done.exception)
    assert done.exception is None or isinstance(done.exception, SystemExit), done.exception
    return done.output if done.exit_code else done.stdout


def test_a_run_says_its_epsilon_under_the_verdict_and_in_its_file(tmp_path):
    said = gradlab(*QUICK, "--epsilon", 3, "--delta", 1e-3, "--rounds", 4, "--out", tmp_path)
    result = json.loads((tmp_path / "result.json").read_text())
    (promise,) = result["privacy"]
    assert promise["multiplier"] == sought(3.0, 1e-3, 1.0, 4)
    assert promise["epsilon"] == pytest.approx(accounted(promise["multiplier"], 1.0, 4, 1e-3), abs=1e-6)
    assert result["experiment"]["defences"] == [{"name": "dp_sgd", "longest": 1.0, "multiplier": promise["multiplier"]}]
    assert said.index("Verdict: ") < said.index(promise["told"]) < said.index(promise["assumed"])
    again = gradlab("run", "--experiment", tmp_path / "result.json", "--delta", 1e-3)
    assert promise["told"] in again
    assert "epsilon" not in gradlab(*QUICK)


def test_a_federation_trains_under_the_noise_for_an_epsilon_and_goes_on_under_it(tmp_path):
    words = ("federate", "--network", "mlp:depth=2,width=8", "--clients", 3, "--rounds", 2, "--out", tmp_path, "--delta", 0.01)
    words += ("--protocol", "fedsgd", "--pictures", 0)
    said = gradlab(*words, "--epsilon", 2, "--defence", "dp_sgd:longest=0.5")
    kept = json.loads((tmp_path / "federation.json").read_text())["settings"]
    (defence,) = kept["defences"]
    assert f"noise {rounded(defence['multiplier'], 3)} times the bound" in said
    assert gradlab(*words, "--epsilon", 2, "--defence", "dp_sgd:longest=0.5") == said
    assert "other settings" in gradlab(*words, "--epsilon", 4, "--defence", "dp_sgd:longest=0.5")


CLIPS = [f"{name}:longest={value}" for name in ("dp_sgd", "dp_fedavg", "clipping") for value in ("0", "-1", "inf", "nan")]


@pytest.mark.parametrize("command", ["run", "federate"])
@pytest.mark.parametrize(
    ("words", "says"),
    [
        *(
            (("--epsilon", value), "give a number above 0 and up to 10000")
            for value in ("0", "-1", "nan", "inf", "1e5", "1e308")
        ),
        *((("--delta", value), "give a chance above 0 and below 1") for value in ("0", "1", "-1", "nan", "inf")),
        *((("--defence", text), "longest") for text in CLIPS),
        (("--epsilon", "x"), "is not a number"),
        (("--epsilon", "1e-9"), "No noise keeps epsilon = 1e-09"),
        (("--epsilon", "3", "--defence", "dp_sgd:multiplier=1"), "leave one of the two out"),
        (("--epsilon", "3", "--defence", "dp_sgd", "--defence", "dp_fedavg"), "dp_sgd and dp_fedavg make some"),
        (("--epsilon", "3", "--defence", "dp_sgd", "--defence", "mixup"), "name dp_sgd last"),
    ],
    ids=lambda part: " ".join(part) if isinstance(part, tuple) else None,
)
def test_what_nobody_can_promise_is_told_in_a_sentence_and_nothing_is_written(command, words, says, tmp_path):
    said = gradlab(command, *words, "--out", tmp_path / "out")
    assert says in said
    assert said.count("\n") <= 1
    assert not (tmp_path / "out").exists()


def test_noise_beyond_all_bounds_is_told_in_a_sentence():
    run = Experiment(rounds=100, protocol=FedAvg(local_steps=1000))
    with pytest.raises(LabError, match=r"takes noise of \S+ times the bound, which nothing is left under; ask for a larger"):
        calibrated(run, 0.3, DELTA)


def test_an_update_from_elsewhere_has_no_noise_to_choose():
    assert "--epsilon is for a round that the lab simulates" in gradlab("run", "--epsilon", 3, "--update", "sent.npz")


def test_without_opacus_a_run_goes_on_and_says_how_to_get_it(monkeypatch, tmp_path):
    monkeypatch.setitem(sys.modules, "opacus.accountants", None)
    said = gradlab(*QUICK, "--defence", "dp_sgd", "--out", tmp_path)
    (promise,) = json.loads((tmp_path / "result.json").read_text())["privacy"]
    assert promise["epsilon"] is None
    assert "pip install 'inverting-gradients-lab[opacus]'" in said
    assert promise["told"] in said
    assert "pip install" in gradlab(*QUICK, "--epsilon", 3)


def test_an_epsilon_that_is_not_finite_is_null_in_the_file(tmp_path):
    gradlab(*QUICK, "--defence", "dp_sgd:multiplier=0", "--out", tmp_path)
    (promise,) = json.loads((tmp_path / "result.json").read_text(), parse_constant=pytest.fail)["privacy"]
    assert promise["epsilon"] is None
    assert guarantees_as_data(Experiment(defences=(DPSGD(multiplier=0.0),)))[0]["epsilon"] == math.inf
