"""A second modality is a folder of its own: rows of a table, added to a copy of the lab in which nothing else is touched.

The files stand in ``second_modality/`` as they would in the lab: a modality, a data set, a network, and how the page draws.
"""

import csv
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import visiting
from visiting import primary, wait_for_status

from widgets.still.study_figure import interactive, still

ROOT = Path(__file__).parent.parent
ADDED = Path(__file__).parent / "second_modality"


@pytest.fixture(scope="module")
def copy(tmp_path_factory):
    """The lab with rows of a table."""
    folder = tmp_path_factory.mktemp("copy")
    for part in ("lab", "widgets", "notebooks", "tests"):
        shutil.copytree(ROOT / part, folder / part, ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(ROOT / "pyproject.toml", folder)
    files = [path.relative_to(ADDED) for path in ADDED.rglob("*.*") if "__pycache__" not in path.parts]
    assert not [file for file in files if (folder / file).exists()], "a file of the lab would be touched"
    shutil.copytree(ADDED, folder, dirs_exist_ok=True, ignore=shutil.ignore_patterns("__pycache__"))
    return folder


def said(copy, *words):
    environment = os.environ | {"PYTHONPATH": str(copy)}
    done = subprocess.run([sys.executable, *words], cwd=copy, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


def table(path):
    return list(csv.reader(path.read_text().splitlines()))


def test_one_option_turns_the_command_line_to_it_and_proposition_3_1_reads_the_row(copy):
    told = said(copy, "-m", "lab.cli", "run", "--network", "table_mlp", "--attack", "analytic", "--out", "out")
    assert "Read off exactly" in told
    assert "Verdict: Recognisable, 1st of 8 in the line-up." in told
    assert "Off by 0.000 (the mean row gets 0." in told
    true, found = (table(copy / "out" / f"{name}.csv") for name in ("original", "reconstruction"))
    assert true == found
    result = json.loads((copy / "out" / "result.json").read_text())
    assert result["experiment"]["dataset"] == {"name": "people"}
    assert result["scores"][0]["kind_right"] == 1
    assert set(result["controls"]) == {"mean_numbers_off"}
    header, *rows = table(copy / "out" / "history.csv")
    assert header[-1] == "numbers_off"
    assert len(rows) == 1


ATTACKED = """
import json
from dataclasses import replace
from pathlib import Path
import lab
from lab import Experiment, FedAvg, GradientMatching, LabError, LabelSource, Recursive, reconstruct, score, simulate_round
from lab.client.datasets.gallery import Gallery
from lab.client.datasets.people import People
from lab.evaluation.evidence import evidence
from lab.experiments import links
from lab.experiments.edits import patched
from lab.federated.networks.table_mlp import TableMLP
from lab.options.catalogue import entries
from lab.studies.base import Cell, Mark, PaperNumber
from lab.studies.sweeps import tables
from lab.studies.sweeps.measure import measure
from lab.studies.sweeps.rows import row
from lab.studies.sweeps.sheets import contact_sheet
from lab.studies.sweeps.store import Store


def refused(make):
    try:
        make()
    except LabError as error:
        return str(error)


def off(experiment):
    attacked = simulate_round(experiment)
    *_, last = reconstruct(experiment, attacked.observation)
    scores = score(last, attacked)
    return [scores.numbers_off, scores.mean_numbers_off, scores.kind_right, scores.line_up_rank]


table = patched(Experiment(), [("dataset", "people")])
assert (table.network, table.attack.priors) == (TableMLP(), ())
assert patched(table, [("network", "small_convnet")]).dataset == Gallery()
assert links.read(links.write(replace(table, seed=7))).experiment == replace(table, seed=7)
assert Experiment.from_plain(json.loads(json.dumps(table.to_plain()))) == table
seen = simulate_round(table).observation
cell = Cell("one row", (table,), PaperNumber(0.1, None, Mark.RECALLED, unit=""))
store = Store(Path("store"))
store.write(table, measure(table.to_plain()))
found = (row(cell, store),)
study = entries("study")["depth"]()
print(json.dumps({
    "table": tables.markdown(study, found),
    "data": json.loads(tables.as_json(study, found)),
    "sheets": len(contact_sheet(found, store)) > 0,
    "matched": [off(replace(table, seed=seed)) for seed in range(4)],
    "exact": off(replace(table, attack=replace(table.attack, derivative="exact"))),
    "noise": off(replace(table, attack=replace(table.attack, start="noise"), seed=3)),
    "several": off(replace(table, batch_size=2, labels=LabelSource.INFERRED)),
    "steps": off(replace(table, protocol=FedAvg(local_steps=3))),
    "recommended": len(states := list(lab.attack(seen))),
    "evidence": [evidence(seen, states[-1]).plain(), evidence(seen, states[-1]).sentences],
    "mismatch": refused(lambda: simulate_round(replace(table, dataset=Gallery()))),
    "closed form": refused(lambda: next(lab.attack(seen, Recursive()))),
    "prior": refused(lambda: next(lab.attack(seen, GradientMatching(priors=(lab.TotalVariation(weight=0.5),))))),
}))
"""


def test_it_is_attacked_scored_and_linked(copy):
    told = json.loads(said(copy, "-c", ATTACKED).splitlines()[-1])
    for name in ("exact", "noise", "steps"):
        assert told[name][0] < 0.01 < told[name][1], name
        assert told[name][2] == 1
    for found, control, right, rank in told["matched"]:
        assert found < 0.01 < control
        assert (right, rank) == (1, 1)
    assert "| cell | paper, Off by | ours, Off by | Kinds right | first in the line-up |" in told["table"]
    assert "| one row | 0.10 (recalled, unverified) | 0.0" in told["table"]
    assert "told of the mean row" in told["table"]
    (cell,) = told["data"]["cells"]
    assert (told["data"]["main"], told["data"]["axis"], cell["paper_numbers_off"]) == ("numbers_off", "Off by", 0.1)
    assert cell["numbers_off"] < 0.01 < cell["mean_numbers_off"]
    interactive(told["data"])
    still(told["data"])
    assert told["sheets"]
    assert told["several"][0] < told["several"][1]
    assert told["recommended"] > 200
    numbers, sentences = told["evidence"]
    assert numbers["belief"] == "EXPLAINED"
    assert numbers["residual"] < 0.1
    assert (numbers["unknowns"], numbers["strangeness"]) == (7, None)
    assert sentences[0].startswith("The row explains what was sent")
    assert sentences[-1].endswith("numbers tell of 7 numbers.")
    assert told["mismatch"] == (
        "The data set gallery gives pictures, and the network table_mlp takes rows; choose two of one kind."
    )
    assert told["closed form"] == (
        "The attack recursive finds pictures, and rows are sought; take gradient_matching or analytic."
    )
    assert told["prior"] == "The prior total_variation knows how pictures look, and rows are sought; leave it out."


def test_the_catalogue_lists_it_and_the_contracts_hold_it(copy):
    assert "rows" in said(copy, "-m", "lab.cli", "list", "modality")
    words = ("-vv", "-n", "0", "-p", "no:cacheprovider", "tests/test_contracts.py", "-k", "rows or people or table_mlp")
    told = said(copy, "-m", "pytest", *words)
    assert all(told.count(f"{name}] PASSED") >= 2 for name in ("rows", "people", "table_mlp"))
    assert told.count("[rows] PASSED") >= 4


ON_THE_PAGE = """
import asyncio, json
from widgets.playback.playback import Playback, pictures
from widgets.run.session import Session
from widgets.views.base import script

ROWS = {"network": {"name": "table_mlp"}, "dataset": {"name": "people"}, "batch_size": 2}
MATCHING = {"name": "gradient_matching", "priors": [], "iterations": 20}


async def watched():
    session = Session(ROWS | {"attack": MATCHING})
    film = Playback(session)
    await asyncio.wait_for(session.finish(), 240)
    last = session.frames[-1]
    assert session.algebra()["readable"]
    session.close()
    print(json.dumps({
        "status": session.status,
        "frame": [last.inputs, last.image.shape, last.words["columns"], [len(part) for part in pictures(last)]],
        "round": [film.round["inputs"], film.round["count"], film.round["alt"], len(film.round["values"])],
        "history": session.history[0]["inputs"],
        "numbers": sorted(set(session.numbers) & {"numbers_off", "kind_right", "mean_numbers_off"}),
        "drawn": "SHOWN.rows" in script("secret"),
    }))


asyncio.run(watched())
"""


def test_a_session_shows_it_as_its_modality_does(copy):
    told = json.loads(said(copy, "-c", ON_THE_PAGE).splitlines()[-1])
    columns = ["age", "height", "income", "north", "east", "south", "west"]
    assert told == {
        "status": "finished",
        "frame": ["rows", [2, 7], columns, [2 * 7 * 4]],
        "round": ["rows", 2, "A private row from people.", 2 * 7 * 4],
        "history": "rows",
        "numbers": ["kind_right", "mean_numbers_off", "numbers_off"],
        "drawn": True,
    }


LINK = """
from lab import Experiment
from lab.experiments import links
from lab.experiments.edits import patched

print(links.write(patched(Experiment(), [("network", "table_mlp"), ("iterations", 20)])))
"""


@pytest.mark.browser
@pytest.mark.slow
def test_the_page_draws_it(copy, browser, monkeypatch):
    monkeypatch.setattr(visiting, "ROOT", copy)
    monkeypatch.setenv("PYTHONPATH", str(copy))
    query = said(copy, "-c", LINK).strip().splitlines()[-1]
    with visiting.serving("-m", "widgets.serving", "--no-browser", "--port") as address:
        visitor = visiting.Visitor(browser, address)
        page = visitor.open(query=f"?{query}")
        wait_for_status(page, "ready")
        primary(page).click()
        wait_for_status(page, "finished")
        assert page.locator(".lab-verdict").inner_text().startswith("Recognisable")
        for card in (".lab-client", ".lab-server"):
            canvas = page.locator(f"{card} canvas.lab-picture").first
            assert canvas.evaluate("canvas => [canvas.width, canvas.height]") == [7 * 64, 18 + 40]
        page.get_by_role("tab", name="Numbers").click()
        assert "Mean absolute error of a number from 0 to 1." in page.locator(".lab-panel").inner_text()
        visitor.leave()
