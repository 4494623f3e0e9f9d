"""Graphs in the form in which TU Dortmund publishes them: a zip of text files, nodes and edges a line each."""

from __future__ import annotations

import io
import os
import zipfile
import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING, Annotated, ClassVar

from lab.lazy import Tensor, torch

from lab.client.batch import Batch
from lab.client.datasets.base import MAX_CLASSES, Dataset
from lab.errors import LabError
from lab.federated.tensors import Inputs, Shape
from lab.files import data_folder
from lab.modalities.graphs.building import Graph, batch_of, with_attributes
from lab.options.fields import Bounds, Help

if TYPE_CHECKING:
    from lab.client.checkpoints.card import Recipe
    from lab.client.samples import Samples

FOLDERS = ("", "tu_graphs")
"""Of the folder of data, where a file is looked for that is not found by its path."""
MAX_BYTES = 64_000_000
"""Of one text file, unpacked."""
MAX_LINES = 2_000_000
"""Of one text file: each becomes a list, forty times as large as its text."""
MAX_NODES, MAX_KINDS = 1_000, 200
"""Of one graph; its bonds are a matrix."""
MAX_ATTRIBUTES, MAX_NUMBERS = 100, 8_000_000
"""Of a node, and of all nodes together."""
PARTS = ("graph_indicator", "graph_labels", "node_labels", "A")


@dataclass(frozen=True)
class TU(Dataset):
    """Graphs from a zip of the TU collection (Morris et al. 2020), as published: MUTAG, PTC_MR, AIDS, ENZYMES and others."""

    modality: ClassVar[str] = "graphs"
    is_trainable: ClassVar[bool] = True
    path: Annotated[str, Help("the .zip file, as published; of the folder of data its name does")] = ""
    first: Annotated[int, Bounds(0, 10**7), Help("number of the first private graph, from 0")] = 0
    attributes: Annotated[bool, Help("whether nodes have their real-valued attributes, of mean 0 and spread 1, too")] = False

    @property
    def class_names(self) -> tuple[str, ...]:
        """The labels of the graphs, in ascending order."""
        return self._read().classes

    def input_shape(self, size: int) -> Shape:
        """Of the largest graph."""
        found = self._read()
        nodes = max(len(kinds) for kinds, _ in found.graphs)
        shape = {"atoms": (nodes, found.kinds), "bonds": (nodes, nodes)}
        return shape | ({"attributes": (nodes, found.tables[0].shape[1])} if found.tables else {})

    def check_available(self, count: int, size: int) -> None:
        """The file is there, can be read, and holds so many."""
        found = self._read()
        if self.first + count > len(found.graphs):
            raise LabError(
                f"tu: {self._named()} holds {len(found.graphs)} graphs, so {count} from number {self.first} on cannot be had; "
                "take a smaller first or batch."
            )

    def load(self, count: int, size: int, generator: torch.Generator) -> Batch:
        """So many from ``first`` on, filled up to the largest of them."""
        self.check_available(count, size)
        found = self._read()
        part = slice(self.first, self.first + count)
        return Batch(found.batch(range(*part.indices(len(found.graphs)))), torch.tensor(found.labels[part], dtype=torch.long))

    def samples(self, recipe: Recipe) -> Samples:
        """All of the file."""
        from lab.client.training_graphs import TrainingGraphs

        found = self._read()
        classes = len(found.classes)
        return TrainingGraphs.read(self.name, found.graphs, found.labels, found.kinds, classes, recipe, found.tables)

    def recipe(self) -> Recipe:
        """A fifth is kept aside."""
        from lab.client.checkpoints.card import Recipe, Rule

        kept = max(1, len(self._read().graphs) // 5)
        return Recipe(
            epochs=60, batch_size=16, rule=Rule.ADAMW, learning_rate=3e-3, weight_decay=0, shift=0, flip=False, held_out=kept
        )

    def others(self, batch_size: int, count: int, size: int, generator: torch.Generator) -> Inputs | None:
        """Graphs of the file that are none of the batch; None where too few are left."""
        found = self._read()
        left = [place for place in range(len(found.graphs)) if not self.first <= place < self.first + batch_size]
        if len(left) < count:
            return None
        chosen = torch.randperm(len(left), generator=generator)[:count].tolist()
        return found.batch([left[place] for place in chosen])

    def _named(self) -> str:
        return os.path.basename(self.path)

    def _read(self) -> _Found:
        places = [os.path.join(data_folder.current(), folder, self._named()) for folder in FOLDERS if data_folder.current()]
        path = next((place for place in (self.path, *places) if os.path.isfile(place)), None)
        if path is None:
            raise LabError(f"tu: there is no file {self.path!r}; give the path of a .zip file of the TU collection.")
        return _read(path, os.stat(path).st_mtime_ns, self.attributes)


@dataclass(frozen=True, eq=False)
class _Found:
    """What a folder of files holds, read once."""

    graphs: list[Graph]
    labels: list[int]
    classes: tuple[str, ...]
    kinds: int
    tables: Sequence[Tensor] = ()
    """Attributes of the nodes of each graph, shape (nodes, attributes); none where they are not asked for."""

    def batch(self, which: Sequence[int]) -> Inputs:
        """Graphs by their numbers."""
        batch = batch_of([self.graphs[number] for number in which], self.kinds)
        return with_attributes(batch, [self.tables[number] for number in which]) if self.tables else batch


@lru_cache(maxsize=2)
def _read(path: str, changed: int, attributes: bool) -> _Found:
    """All graphs of a zip; nothing of it is unpacked to disk, so its paths lead nowhere."""
    name = os.path.basename(path)
    texts = _texts(path, name, (*PARTS, *("node_attributes",) * attributes))
    owners = _whole(texts, "graph_indicator", name)
    labels = [line[0] for line in _whole(texts, "graph_labels", name)]
    kinds = [line[0] for line in _whole(texts, "node_labels", name)] if "node_labels" in texts else [0] * len(owners)
    owner = [line[0] for line in owners]
    if len(kinds) != len(owner):
        raise _odd(name, f"{len(owner)} nodes and {len(kinds)} labels of nodes; it needs one for each")
    if not owner or sorted(set(owner)) != list(range(1, len(labels) + 1)):
        raise _odd(name, f"{len(labels)} labels of graphs, and its nodes belong to others; number graphs from 1 without a gap")
    alphabet = {kind: place for place, kind in enumerate(sorted(set(kinds)))}
    classes = sorted(set(labels))
    if len(alphabet) > MAX_KINDS or len(classes) > MAX_CLASSES:
        raise _odd(
            name, f"{len(alphabet)} kinds of nodes and {len(classes)} classes; at most {MAX_KINDS} and {MAX_CLASSES} will do"
        )
    place: list[int] = []
    members: list[list[int]] = [[] for _ in labels]
    for node, graph in enumerate(owner):
        place.append(len(members[graph - 1]))
        members[graph - 1].append(alphabet[kinds[node]])
    largest = max(map(len, members))
    if largest > MAX_NODES:
        raise _odd(name, f"a graph of {largest} nodes; at most {MAX_NODES} will do")
    edges: list[set[tuple[int, int]]] = [set() for _ in labels]
    for line in _whole(texts, "A", name, columns=2):
        one, other = line[0] - 1, line[1] - 1
        if not (0 <= one < len(owner) and 0 <= other < len(owner)) or owner[one] != owner[other] or one == other:
            raise _odd(name, f"an edge from node {one + 1} to {other + 1}; an edge binds two nodes of one graph")
        edges[owner[one] - 1].add((min(place[one], place[other]), max(place[one], place[other])))
    graphs = [(kinds_of, sorted(bound)) for kinds_of, bound in zip(members, edges, strict=True)]
    tables = _tables(texts, owner, len(labels), name) if attributes else ()
    return _Found(graphs, [classes.index(label) for label in labels], tuple(map(str, classes)), len(alphabet), tables)


def _tables(texts: dict[str, str], owner: list[int], graphs: int, name: str) -> list[Tensor]:
    """Attributes graph by graph, each of mean 0 and spread 1 over all nodes; what is the same everywhere is 0."""
    if "node_attributes" not in texts:
        raise _odd(name, "no file that ends in _node_attributes.txt; leave attributes out")
    text = texts["node_attributes"].strip()
    columns = text.partition("\n")[0].count(",") + 1
    if columns > MAX_ATTRIBUTES or columns * len(owner) > MAX_NUMBERS:
        raise _odd(name, f"{columns} attributes of {len(owner)} nodes; at most {MAX_ATTRIBUTES} of a node will do")
    words = text.replace("\n", ",").split(",", columns * len(owner))
    if len(words) != columns * len(owner) or text.count("\n") != len(owner) - 1:
        raise _odd(name, f"{text.count(chr(10)) + 1} lines of attributes for {len(owner)} nodes, or lines of unequal length")
    try:
        told = torch.tensor([float(word) for word in words], dtype=torch.float64).view(len(owner), columns)
    except ValueError:
        raise _odd(name, "an attribute that is no number; take the file as published") from None
    if not bool(told.isfinite().all()):
        raise _odd(name, "an attribute that is not finite; take the file as published")
    told = told / told.abs().amax(0).clamp_min(1e-300)  # squares of large numbers stay finite
    spread = told.std(0, correction=0)
    told = torch.where(spread > 1e-12, (told - told.mean(0)) / spread.clamp_min(1e-12), 0.0).float()
    members = torch.tensor(owner, dtype=torch.long) - 1
    order = members.argsort(stable=True)
    return list(told[order].split(torch.bincount(members, minlength=graphs).tolist()))


def _texts(path: str, name: str, wanted: Sequence[str]) -> dict[str, str]:
    """The text files by what they hold: ``MUTAG/MUTAG_A.txt`` is A."""
    texts: dict[str, str] = {}
    try:
        with zipfile.ZipFile(path) as archive:
            for member in archive.infolist():
                part = next((part for part in wanted if member.filename.endswith(f"_{part}.txt")), None)
                if part is None:
                    continue
                if ".." in member.filename.split("/") or member.filename.startswith("/"):
                    raise _odd(name, "a path that leads out of it; take the file as published")
                if part in texts or member.file_size > MAX_BYTES:
                    raise _odd(name, f"two files of {part}, or one above {MAX_BYTES // 10**6} MB; take the file as published")
                with archive.open(member) as stream:
                    texts[part] = stream.read(MAX_BYTES).decode("ascii")
    except (OSError, ValueError, EOFError, zipfile.BadZipFile, zlib.error, NotImplementedError, RuntimeError):
        raise LabError(f"tu: {name} cannot be read as a zip of text files; take the file as published.") from None
    lacking = [part for part in ("A", "graph_indicator", "graph_labels") if part not in texts]
    if lacking:
        raise _odd(name, f"no file that ends in _{lacking[0]}.txt; take the file as published")
    return texts


def _whole(texts: dict[str, str], part: str, name: str, columns: int = 1) -> list[list[int]]:
    """The lines of a file as whole numbers."""
    lines: list[list[int]] = []
    for line in io.StringIO(texts[part], newline=None):
        if len(lines) == MAX_LINES:
            raise _odd(name, f"more than {MAX_LINES:,} lines in _{part}.txt; take a smaller set")
        words = line.split(",", columns)  # no further: one line may be as long as the file
        if not line.strip():
            continue
        if len(words) != columns:
            raise _odd(name, f"a line in _{part}.txt without {columns} number{'s'[: columns != 1]}; take the file as published")
        try:
            lines.append([int(word) for word in words])
        except ValueError:
            raise _odd(name, f"a line in _{part}.txt that is no whole number; take the file as published") from None
    return lines


def _odd(name: str, what: str) -> LabError:
    return LabError(f"tu: {name} holds {what}.")
