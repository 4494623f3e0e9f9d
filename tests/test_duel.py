"""The duel: what defences cost, what they still give away, the front of both, and a bench for a file of one's own."""

import json
import re
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from textwrap import dedent

import pytest
import torch
from distributed import LocalCluster
from rounds import observe, random_batch
from scipy.stats import binomtest
from typer.testing import CliRunner

from lab import LabError
from lab.cli import app
from lab.client.datasets.gallery import NAMES
from lab.client.defences.base import STRENGTHS, Defence
from lab.client.defending import defended, trained
from lab.commands import duelling, pricing
from lab.commands.reproducing import Place
from lab.duel import contender, duel
from lab.duel.board import Score, Scoreboard
from lab.duel.duel import ADAPTIVE, NAIVE, Duel
from lab.duel.front import BoutResult, ParetoFront, Point, front, wilson, with_front
from lab.duel.judging import judged
from lab.duel.prices import SHIPPED, PricedTraining, PriceList, price_of, prices
from lab.duel.pricing import PricingTask, run_task
from lab.federated.networks.mlp import MLP
from lab.federated.protocols.fedavg import FedAvg
from lab.federated.protocols.fedsgd import FedSGD
from lab.federated.updates import flat
from lab.federation.settings import Federation
from lab.options.catalogue import entries, find
from lab.options.fields import fields_of
from lab.options.plain import from_plain, to_plain
from lab.options.text import parse_entry
from lab.randomness import stream
from lab.studies.sweeps.measure import measure
from lab.studies.sweeps.rows import rows
from lab.studies.sweeps.store import Store

DEFENCES = [pytest.param(entry, id=name) for name, entry in entries("defence").items()]
TINY = Federation(
    network=MLP(depth=2, width=8), clients=2, rounds=1, pictures=12, protocol=FedAvg(local_steps=1, batch_size=12)
)


@pytest.mark.parametrize("entry", DEFENCES)
def test_each_defence_says_five_strengths_of_one_dial(entry):
    five = entry.strengths()
    assert len(set(five)) == STRENGTHS
    assert entry.dial in {field.name for field in fields_of(entry) if field.bounds is not None}
    turned = [getattr(defence, entry.dial) for defence in five]
    assert turned in (sorted(turned), sorted(turned, reverse=True))
    assert all(replace(defence, **{entry.dial: getattr(five[0], entry.dial)}) == five[0] for defence in five)


IN_PLACE = [one for one in DEFENCES if one.values[0].extended is Defence.extended]
"""Those whose update is of the same tensors as the one without a defence."""


@pytest.mark.parametrize("entry", IN_PLACE)
def test_the_strongest_of_the_five_changes_more_than_the_weakest(entry):
    """In the update of three inputs, over some draws of its randomness."""
    batch = random_batch(3, (3, 8, 8))
    network = observe(MLP(depth=2, width=16), batch).network
    clean = flat(FedSGD().update(network, batch.images, batch.labels))

    def moved(defence):
        off = 0.0
        for seed in range(4):
            generator = stream(seed, "defence")
            given = trained([defence], FedSGD(), network, batch, generator)
            off += float((flat(defended([defence], given, generator)[0]) - clean).norm() / clean.norm())
        return off

    weakest, *_, strongest = entry.strengths()
    assert moved(strongest) > moved(weakest)


def test_a_defence_that_names_no_values_is_turned_evenly_to_its_strongest():
    class Plain(find("defence", "scaling")):
        dial_values = ()

    five = Plain.strengths()
    assert [defence.strength for defence in five] == pytest.approx([0.1998, 0.3996, 0.5994, 0.7992, 0.999])


def test_each_shipped_price_is_of_one_of_its_defences_five():
    known = {name: entry.strengths() for name, entry in entries("defence").items()}
    for found in prices():
        assert found.defence is None or from_plain(Defence, found.defence) == known[found.name][found.strength - 1]
        assert (found.defence is None) == (found.strength == 0)
        assert found.accuracy is None or 0 <= found.accuracy <= 1
        assert found.accuracies or found.diverged


def test_prices_are_of_the_default_federation_and_every_number_has_its_versions():
    shipped = PriceList.read(SHIPPED)
    assert from_plain(Federation, dict(shipped.federation)) == Federation()
    assert all({"torch", "inverting-gradients-lab"} <= run.versions.keys() and run.date for run in shipped.runs)
    assert all((run.accuracy is None) == bool(run.problem) for run in shipped.runs)
    assert price_of(None).accuracy > 0.92, "the goal of the default federation"


@pytest.mark.parametrize(("name", "whose"), [("dp_sgd", "example"), ("dp_fedavg", "client")])
def test_more_noise_promises_more_and_a_mean_more_than_each_update(name, whose):
    five = [price_of(defence) for defence in find("defence", name).strengths()]
    by_seen = {}
    for price in filter(None, five):
        for promise in price.promises:
            assert promise.whose == whose
            by_seen.setdefault(promise.seen, []).append(promise.epsilon)
    assert all(len(found) > 1 and all(a > b for a, b in pairwise(found)) for found in by_seen.values())
    if whose == "client":
        assert all(mean < each for mean, each in zip(by_seen["their mean alone"], by_seen["every update"], strict=True))


def test_prices_go_on_where_they_were_stopped(tmp_path, monkeypatch):
    out = tmp_path / "prices.json"
    monkeypatch.setattr(find("defence", "pruning"), "dial_values", (0.1, 0.2, 0.3, 0.4, 0.5))
    told = pricing.price(["pruning"], TINY, 1, out, 1)
    assert "pruning 5 of 5: " in told.summary
    whole = PriceList.read(out)
    assert [run.strength for run in whole.runs] == [0, 1, 2, 3, 4, 5]
    older = {name: value for name, value in whole.federation.items() if name != "server_rate"}
    replace(whole, federation=older, runs=whole.runs[:4]).write(out)
    pricing.price(["pruning"], TINY, 1, out, 1)
    assert [(run.defence, run.accuracy) for run in PriceList.read(out).runs] == [(r.defence, r.accuracy) for r in whole.runs]
    monkeypatch.setattr("lab.duel.pricing.run_task", None)
    pricing.price(["pruning"], TINY, 1, out, 1)
    with pytest.raises(LabError, match="prices of another federation"):
        pricing.price(["pruning"], replace(TINY, clients=3), 1, out, 1)


def test_prices_are_dealt_out_by_a_scheduler_and_go_on_from_there(tmp_path, monkeypatch):
    """The scheduler is real and elsewhere, its workers are threads; truth: the same trained here, one after another."""
    words = ["price", "pruning", "--network", "mlp:depth=2,width=8", "--clients", "2", "--rounds", "1", "--pictures", "12"]
    words += ["--seeds", "2", "--server-rate", "0.5", "--protocol", "fedavg:local_steps=1,batch_size=12", "--out"]
    here, there = tmp_path / "here.json", tmp_path / "there.json"
    assert CliRunner().invoke(app, [*words, str(here), "--workers", "1"]).exit_code == 0
    whole = PriceList.read(here)
    settings = from_plain(Federation, dict(whole.federation))
    assert settings == replace(TINY, server_rate=0.5)
    replace(whole, runs=whole.runs[:7]).write(there)
    with LocalCluster(
        n_workers=1, threads_per_worker=1, processes=False, dashboard_address="127.0.0.1:0", protocol="tcp"
    ) as cluster:
        done = CliRunner().invoke(app, [*words, str(there), "--scheduler", cluster.scheduler_address])
    assert done.exit_code == 0, done.output
    results = [(run.defence, run.seed, run.accuracy, run.loss) for run in whole.runs]
    assert [(run.defence, run.seed, run.accuracy, run.loss) for run in PriceList.read(there).runs] == results
    assert len(results) == 2 * (1 + STRENGTHS)
    monkeypatch.setattr("lab.studies.sweeps.cluster.PATIENCE", "0.3s")
    replace(whole, runs=whole.runs[:1]).write(there)
    refused = CliRunner().invoke(app, [*words, str(there), "--scheduler", "tcp://127.0.0.1:9"])
    assert "No Dask scheduler answers at tcp://127.0.0.1:9" in refused.output
    assert len(PriceList.read(there).runs) == 1


def test_a_training_that_diverges_has_no_accuracy_and_says_why():
    noisy = find("defence", "gaussian_noise")(strength=100.0)
    steep = FedAvg(local_steps=2, batch_size=6, learning_rate=1.0)
    found = run_task(PricingTask(replace(TINY, server_rate=100.0, rounds=60, defences=(noisy,), protocol=steep), 5))
    assert found.accuracy is None
    assert "diverged" in found.problem


@pytest.mark.parametrize(
    "text", ["", "[1]", '{"federation": {}, "runs": [3]}', '{"federation": {}, "runs": [{"a": 1}]}', "[" * 9999]
)
def test_a_file_that_is_no_list_is_refused_in_a_sentence(text, tmp_path):
    path = tmp_path / "prices.json"
    path.write_text(text)
    with pytest.raises(LabError, match="is no list of prices, or damaged; give another file"):
        PriceList.read(path)
    with pytest.raises(LabError, match="is no front of a duel, or damaged"):
        ParetoFront.read(path)
    (tmp_path / "scoreboard.json").write_text(text)
    with pytest.raises(LabError, match="is no scoreboard, or damaged"):
        Scoreboard(tmp_path).scores()


def spoilt(value, into=(7, {}, "x", None, {"name": 3}, [[1]], float("inf"))):
    """The same with each of its parts in turn, however deep, as something else."""
    yield from into
    if isinstance(value, dict | list):
        for key, item in value.items() if isinstance(value, dict) else enumerate(value):
            for other in spoilt(item, into):
                yield {**value, key: other} if isinstance(value, dict) else [*value[:key], other, *value[key + 1 :]]
    if isinstance(value, dict):
        yield from ({name: item for name, item in value.items() if name != key} for key in value)


def refusal(action):
    """The sentence that refuses it; empty where nothing does."""
    try:
        action()
    except LabError as refused:
        return str(refused)
    return ""


def test_whatever_a_list_of_prices_says_it_goes_on_or_is_refused_in_a_sentence(tmp_path):
    """Truth: each part in turn is something else; what is read can be added to, summed up and written."""
    path = tmp_path / "prices.json"
    private = replace(TINY, defences=(find("defence", "dp_sgd")(multiplier=3.0),))
    run = replace(run_task(PricingTask(private, 4)), versions={"torch": "2"})
    PriceList({}, (run,)).write(path)
    count = 0
    for data in spoilt(json.loads(path.read_text())):
        path.write_text(json.dumps(data))
        sentence = refusal(lambda: PriceList.read(path))
        if sentence:
            assert "no list of prices, or damaged" in sentence
        else:
            count += 1
            found = PriceList.read(path).having(run)
            assert [pricing._line(price) for price in found.prices()]
            found.write(path)
    assert count


def test_whatever_a_scoreboard_says_it_goes_on_or_is_refused_in_a_sentence(tmp_path):
    """Truth: each part in turn is something else; what is read can be added to and written."""
    size = {"pictures": 1, "seeds": 1, "runs": 3, "of": 4}
    point = {"defence": {"name": "mine"}, "strength": 1, "accuracy": 0.5, "leak": 0.5, "low": 0.1, "high": 0.9, "of": 2}
    score = Score("mine", "defence", "0123", {"torch": "2"}, "2026-11-30", size, (point,))
    entry = contender.Submission(contender.Source("mine", "", ""), None, None)
    board = Scoreboard(tmp_path)
    board.enter(entry, score)
    further = replace(score, size={**size, "runs": 4})
    assert board.enter(entry, further) == (further,), "what went on has one line"
    assert len(board.enter(entry, replace(score, size={**size, "seeds": 2}))) == 2
    path, count = tmp_path / "scoreboard.json", 0
    for data in spoilt(json.loads(path.read_text())):
        path.write_text(json.dumps(data))
        sentence = refusal(board.scores)
        if sentence:
            assert "is no scoreboard, or damaged; delete it" in sentence
        else:
            count += 1
            board.enter(entry, score)
    assert count


def test_prices_of_before_a_defence_had_another_field_are_known_again(tmp_path):
    """Truth: the same defences, written without each field that is as by default; one that is gone keeps its line."""
    path = tmp_path / "prices.json"
    for entry in entries("defence").values():
        for defence in entry.strengths():
            plain = to_plain(defence)
            for new in plain.keys() - {"name", entry.dial}:
                older = {name: value for name, value in plain.items() if name != new}
                run = PricedTraining(older, 1, 0, 0.5, 0.5, (), "", "", {})
                PriceList({}, (run, replace(run, defence={"name": "gone", "field": 1}))).write(path)
                found = PriceList.read(path)
                assert found.has(plain, 0)
                assert [price.defence for price in found.prices()] == [plain, {"name": "gone", "field": 1}]


def test_prices_of_a_federation_that_this_version_does_not_know_are_refused_by_their_file(tmp_path):
    path = tmp_path / "prices.json"
    for federation in ({"later": 1}, {"network": {"name": "gone"}}, {"clients": "many"}):
        PriceList(federation).write(path)
        with pytest.raises(LabError, match=r"prices\.json has the prices of another federation; give another file by --out"):
            pricing.price(["pruning"], TINY, 1, path, 1)


@pytest.mark.parametrize(("found", "of"), [(0, 3), (3, 3), (7, 20), (59, 60)])
def test_the_interval_of_a_share_is_wilsons(found, of):
    """Truth: scipy's, whose quantile has more digits."""
    true = binomtest(found, of).proportion_ci(method="wilson")
    assert wilson(found / of, of) == pytest.approx((true.low, true.high), abs=1e-4)


def fought(attacker, identified, phase="early"):
    return BoutResult("mlp", phase, attacker, identified, identified, 4, 0.5, {"ssim": 0.5})


def test_the_stronger_attacker_of_each_network_and_phase_counts():
    both = [fought(NAIVE, 0.5), fought(ADAPTIVE, 0.75), fought(NAIVE, 1.0, "late"), fought(ADAPTIVE, 0.0, "late")]
    point = Point.of_bouts(None, 0, 1, 0.9, both)
    assert (point.leak, point.of) == (0.875, 8)


def test_the_front_is_what_nobody_beats():
    """Truth: every pair compared by hand; whoever is off it is beaten by one on it."""
    generator = stream(0, "points")
    drawn = [[round(float(x), 1) for x in torch.rand(2, generator=generator, dtype=torch.float64)] for _ in range(60)]
    points = with_front(
        [
            Point(None, 0, size, accuracy, leak, 0.0, 1.0, 4, ())
            for leak, accuracy in drawn
            for size in (1, 2)
            if size == 1 or leak > 0.5
        ]
        + [Point(None, 0, 1, None, 0.0, 0.0, 1.0, 4, ())]
    )
    for one in points:
        better = [
            other
            for other in points
            if None not in (one.accuracy, other.accuracy)
            and other.batch_size == one.batch_size
            and other.leak <= one.leak
            and other.accuracy >= one.accuracy
            and (other.leak < one.leak or other.accuracy > one.accuracy)
        ]
        assert one.on_front == (one.accuracy is not None and not better)
        assert not better or any(other.on_front for other in better)


def test_the_shipped_front_says_how_large_it_was_and_is_a_front():
    shipped = front()
    assert {"pictures", "seeds", "iterations", "networks", "runs", "of"} <= shipped.size.keys()
    assert with_front(shipped.points) == shipped.points
    known = {name: entry.strengths() for name, entry in entries("defence").items()}
    for point in shipped.points:
        assert point.low <= point.leak <= point.high
        assert point.defence is None or from_plain(Defence, point.defence) == known[point.name][point.strength - 1]
    assert shipped.best


DOCUMENTS = Path(__file__).parent.parent / "docs"


def test_the_verdicts_that_are_told_stand_beside_what_ships():
    """Each row of the table: SSIM of both attackers early and late, accuracy and seeds; above it, how large the study was."""
    page = (DOCUMENTS / "defences.md").read_text().split("## Verdicts, from data")[1]
    rows = [row.split(" | ") for row in re.findall(r"^\| (.*\|.*) \|$", page, re.MULTILINE)[2:]]
    assert {from_text(row[0]).name for row in rows if row[0] != "none"} == set(entries("defence"))
    for name, *told, _ in rows:
        (point,) = [one for one in front().points if one.batch_size == (2 if "mixup" in name else 1) and is_of(one, name)]
        ssim = {(bout.phase, bout.attacker): bout.measures["ssim"] for bout in point.bouts}
        asked = [ssim[phase, who] for phase in ("early", "late") for who in (NAIVE, ADAPTIVE)]
        assert [float(number) for number in told[:4]] == pytest.approx(asked, abs=0.00501), name
        price = price_of(point.defence and from_plain(Defence, point.defence))
        assert told[4].strip() == ("" if price is None else f"{100 * price.accuracy:.1f} % ({len(price.accuracies)})"), name
    size = front().size
    assert f"--images {size['pictures']} --seeds {size['seeds']} --iterations {size['iterations']}" in page
    assert f"({size['runs']} runs of the {size['of']} of both networks)" in page


def is_of(point, name):
    return (point.defence and from_plain(Defence, point.defence)) == (None if name == "none" else from_text(name))


def from_text(name):
    return parse_entry(Defence, name.strip("`"))


@pytest.mark.slow
def test_what_ships_is_what_a_machine_measures_again():
    """One bout of signs, where knowing the defence tells most, and one federation."""
    size = front().size
    study = Duel(images=size["pictures"], seeds=size["seeds"], iterations=size["iterations"], defence="quantisation")
    (point,) = [one for one in front().points if one.name == "quantisation" and one.strength == STRENGTHS]
    for attacker in (NAIVE, ADAPTIVE):
        (bout,) = [
            one
            for one in study.bouts()
            if (one.network.name, one.phase, one.strength, one.attacker) == ("small_convnet", "early", STRENGTHS, attacker)
        ]
        (shipped,) = [one for one in point.bouts if (one.phase, one.attacker) == ("early", attacker)]
        found = measure(study.over(bout.experiment)[0].to_plain())[0]
        assert found["ssim"] == pytest.approx(shipped.measures["ssim"], abs=0.1)
    clipped = find("defence", "clipping").strengths()[1]
    again = run_task(PricingTask(Federation(defences=(clipped,)), 2)).accuracy
    assert again == pytest.approx(price_of(clipped).accuracies[0], abs=0.02)


@pytest.fixture
def small(monkeypatch):
    """One tiny network, fresh weights alone."""
    monkeypatch.setattr(duel, "NETWORKS", (MLP(depth=2, width=8),))
    return Place(workers=1, only="early")


def test_the_study_is_as_large_as_it_says():
    whole = Duel()
    count = len(entries("defence")) * STRENGTHS + len({entry.least_inputs for entry in entries("defence").values()})
    assert len(whole.bouts()) == count * 2 * 2 * 2
    assert {len(cell.experiments) for cell in Duel(images=4, defence="pruning").cells()} == {12}
    pairs = {}
    for bout in whole.bouts():
        pairs.setdefault((bout.network, bout.phase, bout.defence, bout.batch_size), {})[bout.attacker] = bout.experiment.attack
    assert all(found[NAIVE] == replace(found[ADAPTIVE], reading=False) != found[ADAPTIVE] for found in pairs.values())


TOLD = {"defence": "mixup", "images": 1, "seeds": 1, "iterations": 1}


def test_a_duel_gives_every_file_and_measures_nothing_twice(small, tmp_path):
    place = replace(small, out=tmp_path)
    told = duelling.duel(TOLD, place)
    assert "12 of 24 runs, 1 pictures, 1 seeds" in told.summary
    found = ParetoFront.read(tmp_path / "front.json")
    assert [(point.name, point.strength, point.of) for point in found.points] == [
        ("", 0, 2),
        *(("mixup", n, 2) for n in range(1, 6)),
    ]
    assert all({bout.attacker for bout in point.bouts} == {NAIVE, ADAPTIVE} for point in found.points)
    assert all((tmp_path / name).stat().st_size for name in ("table.md", "table.csv", "pictures.png"))
    kept = {path: path.stat().st_mtime_ns for path in (tmp_path / "experiments").iterdir()}
    assert duelling.duel(TOLD, place).summary == told.summary
    assert {path: path.stat().st_mtime_ns for path in (tmp_path / "experiments").iterdir()} == kept
    older = next(path for path in kept if path.suffix == ".json")
    older.write_text(older.read_text().replace(f'"torch": "{found.versions["torch"]}"', '"torch": "1.0"'))
    duelling.duel(TOLD, place)
    assert ParetoFront.read(tmp_path / "front.json").versions["torch"] == f"1.0, {found.versions['torch']}"


def test_a_small_gallery_has_no_more_pictures_than_it_has(tmp_path):
    study = Duel(images=100, seeds=2, defence="scaling")
    assert judged(study, rows(study, Store(tmp_path)), lambda _: None).size["pictures"] == len(NAMES)


GOOD = """
    from __future__ import annotations
    from dataclasses import dataclass
    from typing import Annotated
    import torch
    import lab
    from lab.options.fields import Bounds, Help

    @dataclass(frozen=True)
    class Mine(lab.Defence):
        \"\"\"Shrinks, and says nothing of five values.\"\"\"

        share: Annotated[float, Bounds(0.0, 1.0), Help("taken away")] = 0.5

        def apply(self, update, generator):
            return {name: (1 - self.share) * tensor for name, tensor in update.items()}
"""
ATTACK = """
    import torch
    import lab
    from lab.attacks.base import AttackState, Outcome

    class Ended(Outcome):
        DONE = "Guessed."

    class Guess(lab.Attack):
        \"\"\"Answers grey.\"\"\"

        def reconstruct(self, observation, generator):
            grey = torch.full((observation.batch_size, *observation.input_shape), 0.5)
            yield AttackState(1, 1, grey, 0.0, outcome=Ended.DONE)
"""


def written(folder, text, name="mine.py"):
    path = folder / name
    path.write_text(dedent(text))
    return path


def entered(path, place, **changes):
    return duelling.duel({"images": 1, "seeds": 1, "iterations": 1} | changes, place, path, TINY)


def test_a_defence_of_ones_own_has_leak_price_and_a_line_for_each_text_of_the_file(small, tmp_path, monkeypatch):
    monkeypatch.setattr(duelling, "SEEDS", 1)
    place = replace(small, out=tmp_path / "out")
    path = written(tmp_path, GOOD)
    told = entered(path, place)
    assert "mine 5 of 5" in told.summary
    entered(path, place)
    (first,) = Scoreboard(place.out).scores()
    assert (first.name, first.kind, [point["strength"] for point in first.points]) == ("mine", "defence", [0, 1, 2, 3, 4, 5])
    assert first.versions["torch"] == torch.__version__.partition("+")[0]
    assert all(0 <= point["accuracy"] <= 1 and 0 <= point["leak"] <= 1 for point in first.points)
    assert (place.out / "own" / first.mark / "mine.py").read_text() == path.read_text(), "the attacker gets the source"
    path.write_text(path.read_text().replace("(1 - self.share)", "(1 - self.share / 2)"))
    entered(path, place)
    again, second = Scoreboard(place.out).scores()
    assert again == first
    assert second.mark != first.mark
    assert (place.out / "scoreboard.md").read_text().count(second.mark) == 6
    with pytest.raises(LabError, match="There is no defence called 'mine'"):
        find("defence", "mine")


def test_an_attack_of_ones_own_meets_every_defence(small, tmp_path, monkeypatch):
    monkeypatch.setattr(duel, "entries", lambda kind: {"pruning": find("defence", "pruning")})
    entered(written(tmp_path, ATTACK), replace(small, out=tmp_path / "out"))
    (line,) = Scoreboard(tmp_path / "out").scores()
    assert (line.kind, len(line.points)) == ("attack", 6)
    (mark,) = (tmp_path / "out" / "own").iterdir()
    results = [json.loads(path.read_text()) for path in (mark / "experiments").glob("*.json")]
    assert {result["experiment"]["attack"]["name"] for result in results} == {"mine"}


BAD = {
    "raises at import": ("1 / 0", r"mine\.py cannot be run \(ZeroDivisionError: division by zero\)"),
    "ends Python": ("import sys; sys.exit(3)", r"mine\.py cannot be run \(SystemExit: 3\)"),
    "no Python": ("def (", r"mine\.py cannot be run \(SyntaxError: "),
    "defines nothing": ("import lab\nfrom lab import Defence, Pruning", "defines no defence and no attack"),
    "nothing at all": ("", "defines no defence and no attack"),
    "abstract": ("import lab\nclass Mine(lab.Defence):\n    pass", "Mine in mine.py does not define apply; define it"),
    "two": (
        "import lab\nclass One(lab.Defence):\n    def apply(self, update, generator): return update\nclass Two(One): pass",
        r"defines several of one kind \(One, Two\)",
    ),
    "raises": (GOOD.replace("return {", "return 1 / 0 or {"), r"mine\.py cannot be run \(ZeroDivisionError"),
    "NaN": (GOOD.replace("(1 - self.share)", "float('nan')"), "mine made numbers of .* that are not finite"),
    "other shapes": (GOOD.replace("* tensor for", "* tensor[None] for"), "mine changed the names or shapes"),
    "other names": (GOOD.replace("{name: ", "{name + '_': "), "mine changed the names or shapes"),
    "no update": (GOOD.replace("return {", "return None and {"), r"mine\.py cannot be run \("),
    "no such dial": (
        GOOD.replace("share: Ann", "dial_values = (1, 2)\n\n        share: Ann"),
        r"mine\.py cannot be run \(TypeError",
    ),
    "an attack without a state": (ATTACK.replace("yield Att", "return; yield Att"), "The attack gave no state at all"),
    "without an outcome": (ATTACK.replace(", outcome=Ended.DONE", ""), "mine ended without an outcome"),
    "an answer of other shape": (
        ATTACK.replace("grey, 0.0", "grey[..., 1:], 0.0"),
        r"answered 1 of the shape \(1, 3, 32, 31\)",
    ),
    "an answer that is NaN": (ATTACK.replace("0.5)", "float('nan'))"), "answered numbers that are not finite"),
    "an answer of another kind": (ATTACK.replace("yield Att", "yield 7 or Att"), r"mine\.py cannot be run \("),
}


@pytest.mark.parametrize(("text", "sentence"), BAD.values(), ids=BAD)
def test_a_bad_file_is_one_sentence_and_computes_nothing(text, sentence, small, tmp_path):
    with pytest.raises(LabError, match=sentence) as refused:
        entered(written(tmp_path, text), replace(small, out=tmp_path / "out"))
    assert "\n" not in str(refused.value)
    assert str(tmp_path) not in str(refused.value)
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("name", "sentence"),
    [
        ("missing.py", "cannot be read"),
        (".", "is a folder"),
        ("pruning.py", "The lab has a defence called 'pruning' of its own"),
        ("my-defence.py", "no name of letters, digits and underscores"),
        ("mine.txt", "no name of letters, digits and underscores before .py"),
        ("noise.py", "is not text in UTF-8"),
    ],
)
def test_what_is_no_file_of_ones_own_is_refused(name, sentence, tmp_path):
    if name not in ("missing.py", "."):
        written(tmp_path, GOOD, name)
    if name == "noise.py":
        (tmp_path / name).write_bytes(b"\xff\xfe")
    with pytest.raises(LabError, match=sentence):
        contender.read(tmp_path / name)
