"""The benchmarks: the comparison is fair, the arithmetic right, the report complete."""

import json
import math
from dataclasses import replace

import pytest
import torch
from typer.testing import CliRunner

from benchmarks import budgets, clock, plots, process_memory, quality, report, runs, tables, trained
from benchmarks.__main__ import app
from benchmarks.breaching_adapter import Breaching
from benchmarks.cases import CASES, Case, Pictures, chosen
from benchmarks.clock import Laps, Span, by_turns, ratio
from benchmarks.contenders import Ours, local_batch, simulate, some_of, training_steps
from benchmarks.costs import BREACHING, OURS, STEP, Costs
from benchmarks.embeddings import DISTANCES, descend, sent_by, simulated
from benchmarks.floor import floor
from benchmarks.memory import peak_above_idle
from benchmarks.plans import race_plan
from benchmarks.race import DEFAULT_ITERATIONS, Heat, Plan, Race, Result
from benchmarks.runs import Moment, Run
from benchmarks.tuning import Setting, Trial, best, grid
from lab.attacks.gradient_matching import GradientMatching
from lab.attacks.matching.distances.cosine import Cosine
from lab.attacks.matching.settings import Derivative
from lab.client.datasets.cifar10 import CIFAR10
from lab.client.datasets.gallery import NAMES, Gallery
from lab.errors import LabError
from lab.federated.networks.convnet import ConvNet
from lab.federated.networks.imagenet_resnet import ImageNetResNet
from lab.federated.networks.lenet import LeNet
from lab.federated.networks.mlp import MLP
from lab.federated.networks.small_convnet import SmallConvNet
from lab.federated.protocols.fedavg import FedAvg

CPU = torch.device("cpu")
TINY = Case("tiny", "tiny ConvNet", SmallConvNet(width=4))
KINDS = {
    "one picture": TINY,
    "batch norm, batch": Case("norm", "norm", ConvNet(width=4), pictures=3),
    "local steps": Case("steps", "steps", LeNet(), FedAvg(local_steps=4, batch_size=2, learning_rate=0.01), pictures=4),
}


def a_round(case=TINY, attack=None):
    return simulate(case.experiment(Gallery(), 0, attack), CPU, 1)


def their_view(attacked):
    """Breaching's own objects: its model, the objective set up as its trial does, and what was shared."""
    contender = Breaching(attacked, 0, 1, 0.1)
    attacker = contender._attacker(lambda look: None)
    models, labels, _ = attacker.prepare_attack(contender.payload, contender.shared)
    hyperparameters = contender.shared[0]["metadata"]["local_hyperparams"]
    attacker.objective.initialize(attacker.loss_fn, attacker.cfg.impl, hyperparameters)
    return attacker, models[0], labels, contender.shared[0]["gradients"]


@pytest.mark.parametrize("kind", KINDS)
def test_breaching_computes_the_gradient_that_was_shared(kind):
    attacked = a_round(KINDS[kind])
    attacker, model, labels, shared = their_view(attacked)
    normalised = attacked.observation.network.normalise(attacked.batch.images)
    theirs, _ = attacker.objective._grad_fn(model, normalised, labels)
    assert len(theirs) == len(shared) == len(list(attacked.observation.network.parameters()))
    for found, ours in zip(theirs, shared, strict=True):
        torch.testing.assert_close(found, ours, rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("kind", KINDS)
def test_both_give_a_candidate_the_same_distance(kind):
    attacked = a_round(KINDS[kind])
    observation = attacked.observation
    attacker, model, labels, shared = their_view(attacked)
    candidate = torch.rand(attacked.batch.images.shape, generator=torch.Generator().manual_seed(3))
    theirs, _ = attacker.objective(model, shared, observation.network.normalise(candidate), labels)
    update = observation.protocol.update(observation.network, candidate, observation.labels)
    ours = Cosine()(update, observation.update)
    assert 1e-4 < float(ours) < 1.9
    torch.testing.assert_close(theirs.detach().squeeze(), ours.detach(), rtol=1e-4, atol=2e-6)


def test_breaching_keeps_its_own_settings_but_for_two():
    settings = Breaching(a_round(), 0, 77, 0.03).settings
    assert (settings.optim.max_iterations, settings.regularization.total_variation.scale) == (77, 0.03)
    assert (settings.optim.optimizer, settings.optim.signed, settings.optim.step_size) == ("adam", "hard", 0.1)
    assert (settings.objective.type, settings.init, settings.optim.boxed) == ("cosine-similarity", "randn", True)


def test_breaching_reports_after_each_iteration_and_lowers_its_objective():
    attacked = a_round()
    looks = []
    final = Breaching(attacked, 0, 30, 1e-3).run(lambda look: looks.append(look().clone()))
    assert len(looks) == 31
    torch.testing.assert_close(final, looks[-1])
    assert 0 <= float(final.min()) <= float(final.max()) <= 1
    update = attacked.observation.protocol.update
    distances = [
        float(Cosine()(update(attacked.observation.network, images, attacked.batch.labels), attacked.observation.update))
        for images in (looks[0], final)
    ]
    assert distances[1] < distances[0] / 2


def test_the_start_of_breaching_depends_on_the_seed():
    def start(seed):
        looks = []
        Breaching(a_round(), seed, 1, 0.0).run(lambda look: looks.append(look().clone()))
        return looks[0]

    assert torch.equal(start(1), start(1))
    assert not torch.equal(start(1), start(2))


def test_ours_is_reported_once_an_iteration():
    attack = GradientMatching(iterations=6, restarts=2)
    experiment = TINY.experiment(Gallery(), 0, attack)
    attacked = simulate(experiment, CPU, 1)
    ours, looks = Ours(experiment, attacked.observation), []
    final = ours.run(lambda look: looks.append(look()))
    assert len(looks) == 13
    assert any(torch.equal(final, look) for look in looks)
    assert len(ours.some(20)) == 20
    assert len(some_of(ours, CPU, 4)) == 4
    assert len(training_steps(attacked, 5)) == 5


def test_a_training_step_of_fedavg_takes_the_pictures_of_one_local_step():
    assert len(local_batch(a_round(KINDS["local steps"])).images) == 2
    assert len(local_batch(a_round(KINDS["batch norm, batch"])).images) == 3


def test_laps_leave_out_what_looking_costs(monkeypatch):
    times = iter([0.0, 1.0, 5.0, 7.0])
    monkeypatch.setattr(clock, "now", lambda device: Span(t := next(times), 2 * t))
    laps = Laps(CPU)
    laps.lap()
    laps.resume()
    laps.lap()
    assert laps.spans == [Span(1.0, 2.0), Span(2.0, 4.0)]
    assert laps.total() == Span(3.0, 6.0)


def test_turns_are_taken_in_order_and_the_first_is_not_counted():
    calls = []

    def contender(name, values):
        stream = iter(values)

        def run():
            calls.append(name)
            return next(stream)

        return run

    found = by_turns({"a": contender("a", [[9], [1, 5, 2], [4]]), "b": contender("b", [[9], [8], [4]])}, turns=2)
    assert calls == ["a", "b"] * 3
    assert found == {"a": [2, 4], "b": [8, 4]}


def test_ratios_are_taken_turn_by_turn():
    # A slow machine in the second turn hits both alike; the ratio of the medians would be 10 / 2 = 5.
    assert ratio([3.0, 30.0, 10.0], [1.0, 10.0, 2.0]) == 3.0
    costs = Costs(2, {STEP: [1.0, 2.0, 1.0], OURS: [2.0, 4.0, 2.5], BREACHING: [4.0, 6.0, 4.0]})
    assert costs.training_steps(OURS) == 2.0
    assert costs.against_breaching == 1.6


@pytest.mark.parametrize(
    ("network", "steps"),
    [(ConvNet(width=64), 1.667), (SmallConvNet(), 1.730), (LeNet(), 1.872)],
    ids=lambda value: getattr(value, "name", ""),
)
def test_the_floor_is_counted_for_each_network(network, steps):
    """What the README says of them; a batch moves none (that an iteration is that cheap: test_frozen_matcher.py)."""
    assert round(floor(network), 3) == steps
    assert floor(network, batch_size=3) == pytest.approx(floor(network))


def test_the_floor_of_one_layer_is_counted_by_hand():
    """The first layer: two passes in a training step, and the head three; both five in an iteration."""
    own, head = 32 * 32 * 3 * 8, 8 * 10
    assert floor(MLP(width=8, depth=2)) == pytest.approx(5 * (own + head) / (2 * own + 3 * head))


def test_several_simulated_steps_have_no_floor_of_one():
    assert [name for name, case in CASES.items() if case.simulates_steps] == ["fedavg_1x5_simulated", "fedavg_4x4_simulated"]


def test_memory_is_the_peak_above_what_was_held():
    if not process_memory.PROC.exists():
        pytest.fail("This test needs Linux's /proc.")
    held = torch.ones(5_000_000)
    peak = peak_above_idle(lambda count: [float((held + 1).sum())] * count, CPU)
    assert 19e6 < peak < 24e6


def a_run(ssims, seconds=1.0, iterations=None):
    moments = tuple(Moment(place, Span(place * seconds, 0.0), ssim) for place, ssim in enumerate(ssims))
    return Run(moments, iterations or len(ssims) - 1, 20.0)


def test_a_run_tells_when_a_likeness_was_reached_and_kept():
    run = a_run([0.1, 0.85, 0.4, 0.8, 0.9])
    assert (run.seconds_to(0.8), run.seconds_to_stay(0.8)) == (1.0, 3.0)
    assert (run.seconds_to(0.95), run.seconds_to_stay(0.95)) == (None, None)
    assert a_run([0.9, 0.9]).seconds_to_stay(0.8) == 0.0
    assert (run.ssim_at(2.5), run.ssim_at(-1), run.final_ssim, run.seconds) == (0.4, 0.1, 0.9, 4.0)


def test_a_followed_run_ends_with_the_final_picture():
    truth = torch.rand(2, 3, 16, 16, generator=torch.Generator().manual_seed(0))

    class Fake:
        def run(self, report):
            for _ in range(1001):
                report(lambda: torch.full_like(truth, 0.5))
            return truth.flip(0)

    run = runs.follow(Fake(), truth, 1000)
    assert run.iterations == run.moments[-1].iteration == 1000
    assert 400 <= len(run.moments) <= 502
    assert run.final_ssim == pytest.approx(1, abs=1e-5)
    assert run.moments[0].ssim < 0.1


def test_the_setting_that_serves_best_reaches_most_pictures_soonest():
    slow, quick, weak = Setting(800, 0.1), Setting(400, 0.1), Setting(100, 0.1)
    trials = [
        Trial(slow, 0.9, 8.0, 6.0),
        Trial(slow, 0.9, 8.0, 7.0),
        Trial(quick, 0.85, 4.0, 3.0),
        Trial(quick, 0.82, 4.0, 3.5),
        Trial(weak, 0.81, 1.0, 1.0),
        Trial(weak, 0.5, 1.0, None),
    ]
    assert best(trials) == quick
    never = [replace(trial, seconds_to_recognisable=None) for trial in trials]
    assert best(never) == slow
    alike = [replace(trial, final_ssim=trial.final_ssim - (trial.setting == slow) * 0.06) for trial in never]
    assert best(alike) == quick
    assert len(grid((1, 2), (0.1, 0.2, 0.3))) == 6


def test_ratios_of_the_race():
    ours = a_run([0.0, 0.5, 0.9], seconds=0.5)
    whole = a_run([0.0, 0.6, 0.7], seconds=50.0, iterations=DEFAULT_ITERATIONS)
    heat = Heat(0, 0, ours, tuned=a_run([0.0, 0.5, 0.82], seconds=2.0), default=whole)
    assert heat.against_tuned() == 4.0 / 1.0
    assert heat.default_target == pytest.approx(0.7)
    assert heat.against_default() == 100.0 / 1.0
    assert heat.against_default_arrival() == 100.0 / 1.0
    behind = replace(heat, ours=a_run([0.0, 0.3]))
    assert behind.against_tuned() == behind.against_default() == 0.0


def test_a_shortened_default_run_is_extrapolated_and_does_not_lower_the_target():
    short = a_run([0.0, 0.1, 0.2], seconds=1.0, iterations=100)
    heat = Heat(0, 0, a_run([0.0, 0.5, 0.9]), tuned=a_run([0.0, 0.75]), default=short)
    assert heat.default_target == 0.75
    assert heat.against_default() == DEFAULT_ITERATIONS * (2.0 / 100) / 2.0
    assert heat.against_default_arrival() is None
    assert Result(TINY, "some", Setting(1, 0.1), [], [heat]).summary()["default_extrapolated"] is True


@pytest.fixture(scope="module")
def raced():
    """A race of three iterations on a tiny network, really run."""
    attack = GradientMatching(iterations=3)
    plan = Plan(1, 1, 1, 2, (2,), (0.01,), 1, attack)
    return Race(TINY, Pictures(None), CPU, 1, plan).run(lambda sentence: None)


@pytest.fixture
def whole_report(raced):
    found = report.begun(CPU, 1)
    costs = Costs(2, {STEP: [1e-3], OURS: [2e-3], BREACHING: [4e-3]}, 1.7304)
    for part, values in (
        ("costs", costs.plain()),
        ("memory_bytes", {STEP: 10**6, OURS: 2 * 10**6, BREACHING: 3 * 10**6}),
        ("race", raced.plain()),
    ):
        report.add(found, "tiny", "tiny ConvNet", part, values)
    return found


def test_a_race_runs_and_every_look_is_reported(raced):
    plain = json.loads(json.dumps(raced.plain(), allow_nan=False))
    heat = plain["heats"][0]
    assert [heat[name]["iterations"] for name in ("ours", "breaching_best", "breaching_default")] == [3, 2, 2]
    seconds = [look[1] for look in heat["ours"]["looks"]]
    assert len(seconds) == 5
    assert seconds == sorted(seconds)
    assert plain["summary"]["default_extrapolated"] is True
    assert plain["pictures"] == "the gallery, 200 to 200"
    assert math.isclose(raced.summary()["default_whole_s"], raced.heats[0].default.seconds / 2 * 24_000)


def test_the_race_may_begin_at_another_picture(monkeypatch):
    begun = []
    monkeypatch.setattr(Race, "_heat", lambda race, number, seed, setting, **others: begun.append(number))
    monkeypatch.setattr(Race, "_tune", lambda race, tell: [Trial(Setting(1, 0.1), 0.5, 1.0, None)])
    raced = Race(TINY, Pictures(None), CPU, 1, race_plan(TINY, quick=True, first=360)).run(lambda sentence: None)
    assert begun == [360, 361]
    assert raced.pictures == "the gallery, 360 to 361"


def test_the_report_survives_the_disk_and_can_be_joined(whole_report, tmp_path):
    path = tmp_path / "report.json"
    report.write(whole_report, path)
    again = report.read(path)
    assert again == json.loads(json.dumps(whole_report))
    other = {**again, "date": "later", "cases": [{"name": "tiny", "title": "tiny ConvNet", "memory_bytes": {STEP: 1}}]}
    together = report.joined([again, other])
    assert together["date"] == "later"
    assert together["cases"][0]["memory_bytes"] == {STEP: 1}
    assert together["cases"][0]["costs"] == again["cases"][0]["costs"]
    with pytest.raises(LabError, match="cannot be joined: their threads differ"):
        report.joined([again, {**other, "threads": 2}])
    path.write_text("[1]")
    with pytest.raises(LabError, match="is no report of the benchmarks"):
        report.read(path)
    with pytest.raises(LabError, match="cannot be written"):
        report.write(again, tmp_path / "nowhere" / "report.json")


def test_the_tables_say_what_the_report_holds(whole_report):
    text = tables.markdown(whole_report)
    assert "| tiny ConvNet | 0.001 | 2 | 1.73 | 4 | 2 | 1 | 2 | 3 |" in text
    assert "(extrapolated)" in text
    target = whole_report["cases"][0]["race"]["summary"]["best_target_ssim"]
    assert f", to {tables.number(target, 2)} |" in text
    assert "torch " in text
    assert "1 thread" in text
    assert [tables.number(value) for value in (None, 0.00123456, 12.34, 12345.6)] == ["-", "0.00123", "12.3", "12,346"]
    short = {**whole_report, "cases": [], "quick": True}
    assert tables.markdown(short).startswith("A glance")


def test_the_plots_are_pictures(whole_report, tmp_path):
    drawn = plots.draw(whole_report, tmp_path / "plots")
    assert [path.name for path in drawn] == ["costs.png", "memory.png", "race_tiny.png"]
    for path in drawn:
        assert path.read_bytes().startswith(b"\x89PNG")


def test_the_command_shows_an_earlier_report(whole_report, tmp_path):
    path = tmp_path / "report.json"
    report.write(whole_report, path)
    told = CliRunner().invoke(app, ["--from", str(path)])
    assert told.exit_code == 0
    assert told.stdout.strip() == tables.markdown(whole_report).strip()


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (["--case", "lenett"], "Did you mean 'lenet'"),
        (["--only", "cost"], "Did you mean 'costs'"),
        (["--device", "tpu"], "no device called 'tpu'"),
        (["--from", "missing.json"], "is no report"),
    ],
)
def test_wrong_input_gets_a_sentence(words, sentence):
    told = CliRunner().invoke(app, words)
    assert told.exit_code == 2
    assert sentence in told.stderr
    assert "Traceback" not in told.output


def test_cases_and_plans(tmp_path):
    assert chosen([]) == list(CASES.values())
    assert race_plan(CASES["lenet"], quick=False, images=None).default_iterations == DEFAULT_ITERATIONS
    assert race_plan(CASES["convnet64"], quick=False).default_iterations < DEFAULT_ITERATIONS
    assert race_plan(CASES["lenet"], quick=True, images=7).images == 7
    assert Pictures(None).dataset(TINY, 25) == Gallery(first=NAMES[1])
    files = Pictures(tmp_path)
    assert files.dataset(TINY, 5) == CIFAR10(first=5, root=str(tmp_path))
    assert isinstance(files.dataset(Case("big", "big", ImageNetResNet()), 5), Gallery)


def test_the_budgets_say_whether_they_were_kept():
    kept = budgets.Attacked(0, 0.5, 1.0, 0.9, 25.0, 1, "Recognisable")
    assert kept.kept
    for change in ({"recognisable_s": None}, {"recognisable_s": 1.2}, {"line_up_rank": 2}, {"verdict": "Taking shape"}):
        assert not replace(kept, **change).kept


def test_the_trained_row_says_how_far_a_second_leads():
    told = trained.row({"pictures": "the gallery", "ssim_in_time": [0.5, 0.9], "final_ssim": [0.7, 0.9]})
    assert told[1:] == ("0.75", "0.700 over 2 pictures (lowest 0.50; at the end 0.800)")


def ends(*psnr_db):
    """The runs of one picture."""
    return [quality.End(value, 0.5) for value in psnr_db]


def test_quality_counts_the_pictures_on_which_the_fast_route_lost():
    told = quality.markdown(
        TINY,
        {
            "frozen": [ends(30.0), ends(20.0), ends(25.0)],
            "exact": [ends(30.4), ends(22.0), ends(24.0)],
            "paper": [ends(9), ends(9), ends(9)],
        },
    )
    assert "| frozen | 25.00 | 25.00 | 0.500 |" in told
    assert "below the exact one's: 1 of 3 pictures (lowest -2.00 dB, mean -0.47 dB)." in told


def test_quality_tells_a_routes_loss_from_the_chance_of_one_run():
    told = quality.markdown(TINY, {"frozen": [ends(30.0, 32.0)], "exact": [ends(32.0, 30.0)]})
    assert "below the exact one's: 0 of 1 pictures (lowest +0.00 dB, mean +0.00 dB; standard error of one gap 1.41 dB" in told
    assert "One run of frozen so far below one run of exact from another start: 0%." in told
    assert "One run of exact so far below one run of exact from another start: 50%." in told


def test_every_start_but_the_first_is_moved_by_rounding_alone():
    case = replace(CASES["small_convnet"], attack=GradientMatching(iterations=3))
    found = quality.measure(case, Pictures(None), images=1, starts=2, iterations=0, tell=lambda _: None)
    (fast,), (exact,) = found["frozen"], found["exact"]
    assert fast[0] != fast[1]
    assert all(abs(end.psnr_db - exact[0].psnr_db) < 0.05 for end in fast + exact)


def test_quality_compares_routes_that_differ_in_the_derivative_alone():
    attacks = quality.contenders(CASES["small_convnet"], 100)
    assert replace(attacks["frozen"], derivative=Derivative.EXACT) == attacks["exact"]
    assert (attacks["exact"].derivative, attacks["paper"].iterations) == (Derivative.EXACT, 100)


@pytest.mark.slow
def test_the_memory_of_a_fresh_process_grows_in_the_attack():
    found = budgets.memory()
    assert 0 < found["idle"]["uss"] < found["idle"]["rss"] < found["peak"]["rss"]


def test_descent_on_embeddings_matches_what_the_client_sends_and_is_there_at_the_private_words():
    _, attacked = simulated(width=16, seed=0)
    seen, names = attacked.observation, [name for name in attacked.observation.update if "embedding" not in name]
    entering = seen.network.features.embedding(attacked.batch.inputs)
    made = dict(zip(names, sent_by(seen, names, entering), strict=True))
    torch.testing.assert_close(made, {name: seen.update[name] for name in names}, rtol=1e-4, atol=1e-5)
    for distance in DISTANCES.values():
        found = descend(seen, distance, 30, seed=0)
        assert found.last < found.first / 2
        assert found.words.shape == (20,)
