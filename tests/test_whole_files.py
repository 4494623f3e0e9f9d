"""Files are there whole or not at all: in one place, which every writer of the lab goes through."""

import ast
import os
from pathlib import Path

import pytest

from lab.files.atomic import write_all, write_atomically, writing

ROOT = Path(__file__).parent.parent
WRITERS = ("write_text", "write_bytes", "save_file", "torch.save", "json.dump")
ELSEWHERE = {
    "lab/capture.py": "stands alone on a client's machine",
    "lab/client/checkpoints/card.py": "writes where its caller says",
    "lab/modalities/text/vocabulary_making.py": "makes a file that ships, once",
}


def test_files_take_their_places_together_and_leave_no_rest(tmp_path):
    folder = tmp_path / "new" / "folder"
    write_all({"b": b"1", "a": b"2"}, folder)
    write_atomically(folder / "b", b"3")
    assert {path.name: path.read_bytes() for path in folder.iterdir()} == {"a": b"2", "b": b"3"}


def test_they_take_them_in_order_so_that_the_last_vouches_for_the_others(tmp_path, monkeypatch):
    placed, replace = [], os.replace
    monkeypatch.setattr(os, "replace", lambda one, other: (placed.append(Path(other).name), replace(one, other)))
    write_all({"picture": b"1", "result": b"2"}, tmp_path)
    assert placed == ["picture", "result"]


@pytest.mark.parametrize("failure", [OSError(28, "No space left on device"), RuntimeError(), KeyboardInterrupt()], ids=repr)
def test_what_fails_leaves_the_older_files_as_they_were(tmp_path, failure):
    write_all({"a": b"old", "b": b"old"}, tmp_path)

    def half():
        with writing(tmp_path, "a", "b") as drafts:
            (drafts / "a").write_bytes(b"new")
            raise failure

    with pytest.raises(type(failure)):
        half()
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == {"a": b"old", "b": b"old"}


def test_everyone_may_read_what_everyone_may_read_of_any_new_file(tmp_path):
    (tmp_path / "plain").touch()
    write_atomically(tmp_path / "whole", b"")
    assert (tmp_path / "whole").stat().st_mode == (tmp_path / "plain").stat().st_mode


def writes(tree):
    """The calls that write a file, as they stand outside ``with writing(...)``."""
    if isinstance(tree, ast.With) and any("writing(" in ast.unparse(item.context_expr) for item in tree.items):
        return []
    own = [tree] if isinstance(tree, ast.Call) and ast.unparse(tree.func).endswith(WRITERS) else []
    return [*own, *(found for child in ast.iter_child_nodes(tree) for found in writes(child))]


def test_nothing_in_the_lab_writes_files_in_another_way():
    found = {path.relative_to(ROOT).as_posix(): writes(ast.parse(path.read_text())) for path in (ROOT / "lab").rglob("*.py")}
    assert {path for path, calls in found.items() if calls} == set(ELSEWHERE)
