"""What a reader takes home is what was shown, and a run comes back from its file."""

import asyncio
import io
import json

import numpy as np
import pytest
from PIL import Image
from test_session import QUICK, opened, until

from lab import Experiment, LabError
from widgets.files import run_file


def after_a_run(check, changes=QUICK, pace=0.0):
    async def story():
        async with opened(changes, pace=pace) as session:
            session.start()
            await until(session, "finished")
            await check(session)

    asyncio.run(story())


def test_a_run_comes_back_from_its_file():
    async def check(session):
        shown, data = session.present(), session.export("json")
        session.edit("seed", 8)
        await until(session, "ready")
        assert session.open_run(data) == ""
        await until(session, "finished")
        assert session.experiment == shown.experiment
        for before, after in zip(shown.frames, session.frames, strict=True):
            assert (after.image == before.image).all()
            assert (after.iteration, after.objective, after.verdict) == (before.iteration, before.objective, before.verdict)
        assert session.numbers["psnr_db"] == shown.frames[-1].measures["psnr_db"]
        assert (session.message, session.iterations, session.source) == (shown.message, 40, "file")

    after_a_run(check)


def test_the_file_repeats_the_run_on_the_command_line(tmp_path):
    async def check(session):
        (tmp_path / "run.json").write_bytes(session.export("json"))
        assert Experiment.from_file(tmp_path / "run.json") == session.experiment

    after_a_run(check)


def test_pictures_show_what_was_seen():
    async def check(session):
        sheet = np.asarray(Image.open(io.BytesIO(session.export("png"))))
        side = 32 * 8
        assert sheet.shape == (side + 36, 3 * side + 32, 3)
        left = 8 + side + 8
        assert (sheet[28 : 28 + side : 8, left : left + side : 8] == session.frames[-1].image).all()
        film = Image.open(io.BytesIO(session.export("gif")))
        assert film.n_frames <= len(session.frames)
        assert film.n_frames > 1

    after_a_run(check, pace=1.0)


def test_each_secret_of_a_batch_stands_beside_its_own_reconstruction():
    async def check(session):
        places = [picture["matched"] for picture in session.numbers["pictures"]]
        sheet = np.asarray(Image.open(io.BytesIO(session.export("png"))))[28 : 28 + 256 : 4, 8 : 8 + 256 : 4]
        secrets = session.round_info["images"]
        for secret, place in zip(secrets, places, strict=True):
            top, left = place // 2 * 32, place % 2 * 32
            assert (sheet[top : top + 32, left : left + 32] == secret).all()

    after_a_run(check, QUICK | {"batch_size": 4})


def test_there_is_nothing_to_save_before_a_run():
    async def story():
        async with opened() as session:
            await until(session, "ready")
            with pytest.raises(LabError, match="no run to save yet"):
                session.export("png")

    asyncio.run(story())


def a_file(**changes):
    frame = {"iteration": 1, "objective": 0.5, "psnr_db": None, "ssim": 0.1, "seconds": 1.0, "png": PICTURE}
    return {"format": run_file.FORMAT, "experiment": {}, "iterations": 5, "frames": [frame]} | changes


PICTURE = "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg=="


def test_a_small_file_is_enough():
    run = run_file.read(json.dumps(a_file()).encode())
    assert run.experiment == Experiment()
    assert run.frames[0].image.shape == (1, 1, 3)
    assert np.isnan(run.frames[0].measures["psnr_db"])


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        (b"", "it is not JSON"),
        (b"\xff\xfe", "it is not JSON"),
        (b"[" * 100_000, "it is not JSON"),
        (b"[]", "does not say format"),
        (a_file(format="other"), "does not say format"),
        (a_file(frames=[]), "holds no frames"),
        (a_file(frames=[{}] * 1000), "holds no frames"),
        (a_file(frames=["x"]), "frame 1 is not an object"),
        (a_file(frames=[a_file()["frames"][0] | {"ssim": "x"}]), "the ssim of frame 1 is not a number"),
        (a_file(frames=[a_file()["frames"][0] | {"png": "AAAA"}]), "the picture of frame 1 cannot be read"),
        (a_file(frames=[a_file()["frames"][0] | {"png": "€"}]), "the picture of frame 1 cannot be read"),
        (a_file(iterations="many"), "how many iterations"),
        (a_file(experiment={"sede": 3}), "Did you mean 'seed'"),
        (a_file(experiment=3), "must be an object"),
    ],
)
def test_what_is_no_run_is_a_sentence(content, sentence):
    data = content if isinstance(content, bytes) else json.dumps(content).encode()
    with pytest.raises(LabError, match=sentence):
        run_file.read(data)


def test_scores_that_are_none_are_left_out():
    frame = a_file()["frames"][0]
    bad = frame | {"numbers": {"line_up_rank": "<b>", "grey_psnr_db": 9.5, "pictures": [{"matched": 7}]}}
    assert run_file.read(json.dumps(a_file(frames=[bad])).encode()).frames[0].numbers == {"grey_psnr_db": 9.5}
    assert run_file.read(json.dumps(a_file(frames=[frame | {"numbers": 3}])).encode()).frames[0].numbers == {}
