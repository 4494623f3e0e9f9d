"""What the documents say is there, is there: links, files, commands, code, folders, libraries; and what they are held to."""

import asyncio
import json
import re
import shlex
import subprocess
import tomllib
from importlib.util import find_spec
from io import BytesIO
from itertools import chain, pairwise
from pathlib import Path
from pkgutil import resolve_name

import numpy as np
import pytest
import torch
import typer
import yaml
from markdown_it import MarkdownIt
from packaging.requirements import Requirement
from PIL import Image
from typer.testing import CliRunner

from lab import Verdict
from lab.options.catalogue import FOLDERS as KINDS

ROOT = Path(__file__).parent.parent
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
README = (ROOT / "README.md").read_text()
UNTRACKED = {line.strip("/*.") for line in (ROOT / ".gitignore").read_text().splitlines()}
FOLDERS = [
    path for path in ROOT.iterdir() if path.is_dir() and path.name[0] != "." and not {path.name, path.suffix[1:]} & UNTRACKED
]
PAGES = sorted([*ROOT.glob("*.md"), *(page for folder in FOLDERS for page in folder.rglob("*.md"))])
EACH_PAGE = pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
TARGETS = set(re.findall(r"^([\w-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))


def tokens(page):
    """The parts of a page as GitHub reads them, those within lines too, outermost first."""
    for token in MarkdownIt("gfm-like", {"linkify": False}).parse(page.read_text()):
        yield token
        yield from token.children or []


def links(page):
    parts = tokens(page)
    return [part.attrs.get("href") or part.attrs.get("src") for part in parts if part.type in ("link_open", "image")]


def anchors(page):
    """What a link may name of a page: GitHub's anchor of each heading."""
    parts = list(tokens(page))
    titles = [text.content for before, text in pairwise(parts) if before.type == "heading_open"]
    return {re.sub(r"[^\w\- ]", "", title.lower()).replace(" ", "-") for title in titles}


def code(page, *languages):
    return [part.content for part in tokens(page) if part.type == "fence" and part.info in languages]


def spoken(page):
    """What stands as code within lines."""
    return [part.content for part in tokens(page) if part.type == "code_inline"]


@EACH_PAGE
def test_every_link_within_the_house_leads_somewhere(page):
    for link in links(page):
        place, _, anchor = link.partition("#")
        if re.match(r"https?:", place):
            continue
        target = (page.parent / place) if place else page
        assert target.resolve().is_relative_to(ROOT), link
        assert target.exists(), link
        assert not anchor or anchor in anchors(target), link


READERS_OWN = ("x.py", "NAME.json")


def paths_in(words):
    """Files and folders of the house, by their path from the root; of one that the reader writes the folder alone."""
    tops = "|".join(folder.name for folder in FOLDERS)
    named = [found[1] for word in words if (found := re.fullmatch(rf"((?:{tops})/[\w./-]*)(?:::\w+)?", word))]
    return [Path(path).parent if Path(path).name in READERS_OWN else Path(path) for path in named]


def names_in(words):
    """Dotted names of the house: a module, or what it holds."""
    dotted = r"(?<![\w./-])(?:lab|widgets|benchmarks)(?:\.[A-Za-z]\w*)+"
    return [name for word in words for name in re.findall(dotted, word) if not name.endswith(".example.org")]


@EACH_PAGE
def test_every_file_and_folder_that_is_named_exists(page):
    assert [path for path in paths_in(spoken(page)) if not (ROOT / path).exists()] == []


@EACH_PAGE
def test_every_dotted_name_leads_somewhere(page):
    """The changelog may tell of names as they were."""
    if page.name != "CHANGELOG.md":
        assert all(map(resolve_name, names_in(spoken(page))))


@pytest.mark.parametrize("folder", ["lab", "widgets", "benchmarks", "notebooks"])
def test_what_docstrings_comments_and_lessons_name_exists(folder):
    sources = [path.read_text() for path in (ROOT / folder).rglob("*.py")]
    words = [word for source in sources for word in re.findall(r"``([^`\n]+)``", source)]
    cells = [cell for path in (ROOT / folder).rglob("*.ipynb") for cell in json.loads(path.read_text())["cells"]]
    told = ["".join(cell["source"]) for cell in cells if cell["cell_type"] == "markdown"]
    words += [word for text in told for word in re.findall(r"`([^`\n]+)`", text)]
    assert [path for path in paths_in(words) if not (ROOT / path).exists()] == []
    assert all(map(resolve_name, names_in(words)))


@EACH_PAGE
def test_every_command_that_is_told_is_known(page):
    from lab.cli import app

    known = typer.main.get_command(app).commands
    lines = "\n".join([*code(page, "", "bash", "sh"), *spoken(page)])
    for target in re.findall(r"^(?:sudo )?make (?:-C \S+ )?(\w+)", lines, re.MULTILINE):
        assert target in TARGETS, target
    for module in re.findall(r"\bpython -m ((?:benchmarks|notebooks|lab|widgets|tests)[\w.]*)", lines):
        assert find_spec(module), module
    for name, words in re.findall(r"^(?:sudo )?(?:\S*/)?gradlab ([a-z]\w*)((?: [^\n#]*)?)", lines, re.MULTILINE):
        assert name in known, name
        if known[name].context_settings.get("ignore_unknown_options"):
            continue  # what is handed on as it is
        options = {option for parameter in known[name].params for option in [*parameter.opts, *parameter.secondary_opts]}
        assert {word.partition("=")[0] for word in shlex.split(words) if word.startswith("--")} <= options | {"--help"}, words


@pytest.mark.parametrize("page", [page for page in PAGES if code(page, "python")], ids=lambda page: str(page.relative_to(ROOT)))
def test_code_that_is_shown_runs(page, tmp_path, monkeypatch):
    """From top to bottom, as in a notebook; a model and what it sent are the reader's own."""
    monkeypatch.chdir(tmp_path)
    with torch.random.fork_rng(devices=[]):
        model = torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(3 * 32 * 32, 10))
        loss = torch.nn.functional.cross_entropy(model(torch.rand(1, 3, 32, 32)), torch.tensor([3]))
    given = {"model": model, "update": torch.autograd.grad(loss, list(model.parameters()))}

    async def notebook():
        for block in code(page, "python"):
            exec(compile(block, str(page), "exec"), given)
        if state := given.get("state"):
            assert state.outcome, "an attack that is shown goes to its end"
        if lesson := given.get("lesson"):
            while lesson.session.status != "ready":
                await asyncio.sleep(0.01)
            lesson.close()

    with torch.random.fork_rng(devices=[]):  # a reader's own code may draw
        torch.manual_seed(0)
        asyncio.run(notebook())


def test_the_readme_is_two_screens():
    assert len(README.encode()) <= 8_000


def test_the_film_is_what_its_command_leaves(tmp_path):
    """The iterations, the frames, the original and, but for a machine's rounding, the reconstruction."""
    from lab.cli import app

    told = re.search(r"<!-- The film is \S+/(\S+) of: (gradlab run .*?) -->", README)
    words = shlex.split(told[2])[1:]
    words[words.index("--out") + 1] = str(tmp_path)
    assert CliRunner().invoke(app, words).exit_code == 0
    result = json.loads((tmp_path / "result.json").read_text())
    assert f"from grey to a likeness in {result['iterations']} iterations](docs/film.webp)" in README
    assert result["verdict"] == Verdict.RECOGNISABLE.value
    shown = (ROOT / "docs" / "film.webp").read_bytes()
    assert len(shown) < 400_000
    here, there = film(shown), film((tmp_path / told[1]).read_bytes())
    assert here.shape == there.shape
    width = here.shape[2] // 2
    assert (here[:, :, :width] == there[:, :, :width]).all(), "another original"
    assert abs(here[-1] - there[-1])[:, width:].mean() < 8, "another reconstruction"


def film(data):
    """Its frames, shape (frames, height, width, 3)."""
    opened, frames = Image.open(BytesIO(data)), []
    for place in range(opened.n_frames):
        opened.seek(place)
        frames.append(np.array(opened.convert("RGB"), dtype=int))
    return np.stack(frames)


def drawn():
    return README.split("## The map")[1].split("```")[1]


@pytest.mark.parametrize("house", ["lab", "widgets"])
def test_the_map_names_every_folder_and_no_other(house):
    rows = re.search(rf"^{house}/.*\n((?:  .*\n)*)", drawn(), re.MULTILINE)[1]
    files = [path.relative_to(ROOT / house).parts for path in (ROOT / house).rglob("*.*") if "__pycache__" not in path.parts]
    assert sorted(re.findall(r"^  (\w+)/ ", rows, re.MULTILINE)) == sorted({parts[0] for parts in files if len(parts) > 1})


def test_the_map_names_every_folder_of_the_repository():
    assert {folder.name for folder in FOLDERS} <= set(re.findall(r"\b(\w+)/", drawn()))


def test_the_map_file_by_file_tells_of_each_place_once():
    rows = re.findall(r"^\| (`.*?) \|", (ROOT / "docs" / "map.md").read_text(), re.MULTILINE)
    told = [place for row in rows for place in re.findall(r"`([^`]+)`", row)]
    assert [place for place in set(told) if told.count(place) > 1] == []


@pytest.mark.parametrize("kind", KINDS)
def test_whoever_adds_one_of_a_kind_is_told_where_and_what_has_to_be_written(kind):
    place = f"`lab/{KINDS[kind].replace('.', '/')}/"
    (told,) = [
        row for row in (ROOT / "CONTRIBUTING.md").read_text().splitlines() if f"{place}x.py`" in row or f"{place}`" in row
    ]
    if kind == "modality":
        told = (ROOT / "docs" / "add-a-modality.md").read_text()
    base = resolve_name(f"lab.{KINDS[kind]}.base:{kind.title().replace('_', '')}")
    assert [name for name in base.__abstractmethods__ if not re.search(rf"`{name}\b", told)] == []


def test_every_library_has_its_line_and_none_that_is_not_asked_for():
    listed = re.findall(r"^\| ([\w-]+) \| \w", (ROOT / "docs" / "dependencies.md").read_text(), re.MULTILINE)
    asked = chain(PROJECT["dependencies"], *PROJECT["optional-dependencies"].values())
    needed = {Requirement(line).name for line in asked} - {PROJECT["name"]}
    assert sorted(listed) == sorted({"library", *needed})
    said = README.split("## Why each library is there")[1].split("\n## ")[0].lower()
    assert [line for line in PROJECT["dependencies"] if Requirement(line).name.lower() not in said] == []


def test_who_cites_the_lab_finds_what_is_needed():
    """The keys that the Citation File Format asks for, and no version but the project's."""
    told = yaml.safe_load((ROOT / "CITATION.cff").read_text())
    assert told["cff-version"] == "1.2.0"
    assert (told["title"], told["version"]) == ("Inverting Gradients Lab", PROJECT["version"])
    assert told["license"] == PROJECT["license"]
    for work in (told, *told["references"]):
        assert work["title"]
        assert all(author.get("name") or author["family-names"] for author in work["authors"])
    paper = told["references"][0]
    assert [author["family-names"] for author in paper["authors"]] == ["Geiping", "Bauermeister", "Dröge", "Moeller"]
    assert (paper["type"], paper["year"]) == ("conference-paper", 2020)


def test_the_changelog_keeps_its_form():
    lines = (ROOT / "CHANGELOG.md").read_text().splitlines()
    versions = [line for line in lines if line.startswith("## ")]
    assert versions[0] == "## [Unreleased]"
    assert all(re.fullmatch(r"## \[\d+\.\d+\.\d+\] - \d{4}-\d\d-\d\d", line) for line in versions[1:])
    kinds = {"Added", "Changed", "Deprecated", "Removed", "Fixed", "Security"}
    assert {line[4:] for line in lines if line.startswith("### ")} <= kinds


def test_before_a_commit_runs_what_make_check_begins_with():
    """By its name in the Makefile, so that there is one list of what is checked."""
    config = yaml.safe_load((ROOT / ".pre-commit-config.yaml").read_text())
    hooks = [(place["repo"], hook["entry"], hook["language"]) for place in config["repos"] for hook in place["hooks"]]
    assert hooks == [("local", "make lint", "system")]
    # Told to say no folder: inside `make test` this make is a nested one, which would name where it is.
    told = ["make", "--no-print-directory", "--dry-run", "lint"]
    said = subprocess.run(told, cwd=ROOT, capture_output=True, text=True, check=True).stdout
    assert [line.split("/")[-1] for line in said.splitlines()] == ["ruff check .", "ruff format --check .", "pyright"]
    check = re.search(r"^check:.*\n((?:\t.*\n)+)", (ROOT / "Makefile").read_text(), re.MULTILINE)[1]
    assert check.split("\n")[:2] == ["\t$(MAKE) lint", "\t$(MAKE) test"]
