"""What an attack leaves in its folder."""

import csv
import io
import json
import math
import os
import time
from dataclasses import fields, replace

import numpy as np
import pytest
import torch
from PIL import Image

from lab.attacks.gradient_matching import GradientMatching
from lab.attacks.recursive import Recursive
from lab.commands import recording
from lab.commands.recording import Recording, follow
from lab.errors import LabError
from lab.evaluation.layers import LayerScore
from lab.evaluation.scoring import score
from lab.experiments.driving import Driven
from lab.experiments.experiment import Experiment
from lab.experiments.outputs import Finished, HistoryRow, files_of, finite, history_csv, ready_folder, result, write_outputs
from lab.experiments.rounds import reconstruct, simulate_round
from lab.federated.networks.lenet import LeNet
from lab.federated.networks.mlp import MLP
from lab.modalities.images.sheets import comparison, film, replay, tiled


def attacked(batch=1, iterations=3, restarts=1):
    attack = GradientMatching(iterations=iterations, restarts=restarts)
    experiment = Experiment(network=MLP(depth=2, width=8), batch_size=batch, attack=attack)
    return experiment, simulate_round(experiment)


def finished(batch=1, iterations=3):
    return run(*attacked(batch, iterations))


def run(experiment, a_round):
    record = Recording(a_round)
    ended = follow(Driven(reconstruct(experiment, a_round.observation)), record, lambda *_: False, lambda *_: None)
    return Finished(
        experiment=experiment,
        attacked=a_round,
        state=ended.state,
        scores=score(a_round, ended.state),
        history=tuple(record.history),
        frames=record.frames(ended.state),
        iterations=ended.iterations,
        seconds=ended.seconds,
        stopped_after=ended.stopped_after,
        device="CPU",
    )


def opened(data):
    return Image.open(io.BytesIO(data))


def pixels(data):
    return torch.from_numpy(np.array(opened(data))).permute(2, 0, 1) / 255


def test_the_pictures_are_the_private_one_and_its_reconstruction():
    done = finished()
    files = files_of(done)
    assert torch.allclose(pixels(files["original.png"]), done.attacked.batch.images[0], atol=1 / 255)
    assert torch.allclose(pixels(files["reconstruction.png"]), done.state.candidate[0].clamp(0, 1), atol=1 / 255)


def test_a_batch_is_a_sheet_in_the_order_of_the_private_pictures():
    done = finished(batch=3)
    swapped = replace(done.state, candidate=done.attacked.batch.images[[2, 0, 1]])
    done = replace(done, state=swapped, scores=score(done.attacked, swapped))
    files = files_of(done)
    assert opened(files["original.png"]).size == (66, 66)
    assert files["original.png"] == files["reconstruction.png"]


def test_the_comparison_shows_three_panels():
    sheet = np.array(opened(comparison(torch.zeros(1, 3, 32, 32), torch.ones(1, 3, 32, 32))))
    middle = sheet[28 + 128]
    assert [tuple(middle[8 + 128 + panel * 264]) for panel in range(3)] == [(0, 0, 0), (255, 255, 255), (255, 255, 255)]
    assert (sheet[:28] < 128).any()


def test_grey_pictures_are_drawn_too():
    grey = torch.linspace(0, 1, 2 * 28 * 28).reshape(2, 1, 28, 28)
    assert opened(comparison(grey, grey)).mode == "RGB"
    assert tiled(grey).shape == (1, 28, 58)


def test_the_replay_holds_the_kept_frames_and_rests_on_the_last():
    frames = [torch.full((1, 3, 8, 8), level / 5) for level in range(5)]
    film = opened(replay(frames))
    assert film.n_frames == 5
    film.seek(4)
    assert film.info["duration"] == 1500
    assert film.size == (256, 256)


@pytest.mark.parametrize("side", [8, 32, 224])
def test_the_replay_costs_what_its_pixels_cost_and_keeps_its_colours(side):
    """A palette sought pixel by pixel takes a hundred times as long as writing the frames down."""
    noise = torch.rand(6, 1, 3, side, side, generator=torch.Generator().manual_seed(0))
    frames = [picture * share / 5 + (1 - share / 5) for share, picture in enumerate(noise)]
    began = time.process_time()
    shown = opened(replay(frames))
    middle = time.process_time()
    film(frames[0], frames)
    assert middle - began < time.process_time() - middle
    for place, frame in enumerate(frames):
        shown.seek(place)
        drawn = torch.from_numpy(np.array(shown.convert("RGB").resize((side, side), 0))).permute(2, 0, 1)
        assert (drawn.float() / 255 - frame[0]).abs().mean() < 1 / 16  # noise is the worst for 256 colours


def test_the_film_shows_every_frame_beside_the_original_pixel_by_pixel():
    original, *frames = torch.rand(4, 2, 3, 8, 8, generator=torch.Generator().manual_seed(0))
    shown = opened(film(original, frames))
    assert (shown.format, shown.n_frames) == ("WEBP", len(frames))
    for place, frame in enumerate(frames):
        shown.seek(place)
        panel = np.array(shown.convert("RGB"))
        assert (panel == np.array(opened(comparison(original, frame)))[:, : panel.shape[1]]).all()


def test_the_history_has_a_row_an_iteration():
    rows = list(csv.DictReader(io.StringIO(files_of(finished(iterations=4))["history.csv"].decode())))
    assert [row["iteration"] for row in rows] == ["0", "1", "2", "3", "4"]
    assert float(rows[0]["distance"]) == float(rows[0]["objective"])
    seconds = [float(row["seconds"]) for row in rows]
    assert seconds == sorted(seconds)
    assert all(row["psnr_db"] for row in rows)


def test_the_history_leaves_a_gap_where_nothing_is_known():
    moments = (
        HistoryRow(0, 0, 1.0, {"distance": 1.0}, 0.1, 9.0),
        HistoryRow(0, 1, 0.5, {"distance": 0.5, "l2": 0.2}, 0.2, None),
    )
    assert history_csv(moments, "psnr_db").splitlines() == [
        "restart,iteration,objective,distance,l2,seconds,psnr_db",
        "0,0,1.0,1.0,,0.1,9.0",
        "0,1,0.5,0.5,0.2,0.2,",
    ]


def test_numbers_that_are_not_finite_become_null():
    done = finished()
    data = result(replace(done, state=replace(done.state, objective=math.nan)))
    assert data["objective"] is None
    json.dumps(data, allow_nan=False)


@pytest.mark.parametrize("number", [math.nan, math.inf, -math.inf])
@pytest.mark.parametrize("around", [lambda x: [x], lambda x: (x,), lambda x: {"it": x}, lambda x: [({"it": (x,)},)]])
def test_they_do_so_wherever_they_stand(number, around):
    assert json.loads(json.dumps(finite(around(number)), allow_nan=False)) == json.loads(json.dumps(around(None)))


def test_the_result_of_the_closed_form_tells_each_layer():
    experiment = Experiment(network=LeNet(), attack=Recursive())
    layers = json.loads(files_of(run(experiment, simulate_round(experiment)))["result.json"])["layers"]
    assert [layer["name"] for layer in layers] == ["features.4", "features.2", "features.0"]
    assert [layer["unknowns"] for layer in layers] == [12 * 8 * 8, 12 * 16 * 16, 3 * 32 * 32]
    for layer in layers:
        assert set(layer) == {field.name for field in fields(LayerScore)}
        assert layer["equations"] >= layer["rank"] == layer["unknowns"]
        assert 0 < layer["error"] < 1e-3
    assert json.loads(files_of(finished())["result.json"])["layers"] == []


def test_every_restart_is_in_the_history_once():
    experiment, a_round = attacked(iterations=3, restarts=2)
    record = Recording(a_round)
    follow(Driven(reconstruct(experiment, a_round.observation)), record, lambda *_: False, lambda *_: None)
    assert [(moment.restart, moment.iteration) for moment in record.history] == [
        *[(0, iteration) for iteration in range(4)],
        *[(1, iteration) for iteration in range(3, 7)],
    ]


def test_kept_frames_are_thinned_evenly(monkeypatch):
    monkeypatch.setattr(recording, "MAX_FRAMES", 8)
    experiment, a_round = attacked(iterations=40)
    record = Recording(a_round)
    ended = follow(Driven(reconstruct(experiment, a_round.observation)), record, lambda *_: False, lambda *_: None)
    frames = record.frames(ended.state)
    assert 5 <= len(frames) <= 9
    assert torch.equal(frames[-1], (ended.state.candidate * 255).round().to(torch.uint8))


def test_an_attack_that_starts_over_on_the_cpu_starts_its_history_afresh():
    experiment, a_round = attacked(iterations=2)
    states = list(reconstruct(experiment, a_round.observation))
    record = Recording(a_round)
    follow(Driven(state for state in [*states[:2], *states]), record, lambda *_: False, lambda *_: None)
    assert [moment.iteration for moment in record.history] == [0, 1, 2]


def test_files_replace_older_ones_and_leave_no_rest(tmp_path):
    (tmp_path / "result.json").write_text("old")
    written = write_outputs(finished(), tmp_path / "." / "")
    assert sorted(written) == sorted(os.listdir(tmp_path))
    assert json.loads((tmp_path / "result.json").read_text())["outcome"] == "BUDGET_SPENT"


def test_a_failing_disk_leaves_the_older_files(tmp_path, monkeypatch):
    (tmp_path / "result.json").write_text("old")
    done = finished()

    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("pathlib.Path.write_bytes", full)
    with pytest.raises(LabError, match=r"cannot be written \(No space left on device\); give another folder by --out"):
        write_outputs(done, tmp_path)
    assert os.listdir(tmp_path) == ["result.json"]
    assert (tmp_path / "result.json").read_text() == "old"


def test_a_folder_is_made_and_tried_out(tmp_path):
    ready_folder(tmp_path / "a" / "b")
    assert (tmp_path / "a" / "b").is_dir()
    (tmp_path / "file").touch()
    with pytest.raises(LabError, match="cannot be written"):
        ready_folder(tmp_path / "file")
