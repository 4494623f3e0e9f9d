"""Graphs side by side for lessons, laid out as on the page."""

from __future__ import annotations

import html
import io
from collections.abc import Mapping, Sequence
from typing import Any

from widgets.still.figures import Figure, embedded

SIDE = 240
"""Of a drawing, in pixels."""
FINE = 2
"""How many dots make a pixel."""
MARGIN = 0.1


def molecules(graphs: Sequence[Mapping[str, Any]], captions: Sequence[str]) -> Figure:
    """A drawing of each graph, a batch of one with its kinds as ``atoms`` and its ``bonds``, a caption under each.

    The same graph in another order of its atoms lies as the first does.
    """
    whole = [_trimmed(graph) for graph in graphs]
    words = [_words(graph, whole[0]) for graph in whole]
    drawings = "".join(_figure(*each) for each in zip(words, whole, captions, strict=True))
    told = "; ".join(f"{said}: {each['told'][0]}" for each, said in zip(words, captions, strict=True))
    return Figure(f'<div style="display:flex;flex-wrap:wrap;gap:14px">{drawings}</div>', f"Graphs: {told}.")


def _trimmed(graph: Mapping[str, Any]) -> dict[str, Any]:
    """Without what only fills up, which needs no room."""
    there = graph["atoms"][0].sum(-1) > 0
    return {"atoms": graph["atoms"][:, there], "bonds": graph["bonds"][:, there][:, :, there]}


def _words(graph: dict[str, Any], first: dict[str, Any]) -> Mapping[str, Any]:
    from lab.modalities.base import Beside, modality_of
    from lab.modalities.graphs.comparison import isomorphic

    same = graph["atoms"].shape == first["atoms"].shape and bool(isomorphic(graph, first))
    return modality_of("graphs").shown(graph, Beside(truth=first) if same else None).words


def _figure(words: Mapping[str, Any], graph: Mapping[str, Any], said: str) -> str:
    drawn = embedded(_drawing(words, graph), f"{said}: {words['told'][0]}", SIDE)
    style = f"max-width:{SIDE}px;font-size:13px;line-height:1.35;margin-top:4px"
    return f'<figure style="margin:0">{drawn}<figcaption style="{style}">{html.escape(said)}</figcaption></figure>'


def _drawing(words: Mapping[str, Any], graph: Mapping[str, Any]) -> bytes:
    """A PNG, dark on white in either theme, and on paper."""
    from matplotlib.figure import Figure as Drawing

    drawing = Drawing(figsize=(SIDE / 100, SIDE / 100), dpi=100 * FINE)
    places = words["places"][0]
    middles = [(min(line) + max(line)) / 2 for line in zip(*places, strict=True)]
    (left, right), (top, bottom) = ((middle - 0.5 - MARGIN, middle + 0.5 + MARGIN) for middle in middles)
    axes = drawing.add_axes((0, 0, 1, 1), xlim=(left, right), ylim=(bottom, top))
    axes.set_axis_off()
    for one, other in graph["bonds"][0].triu(1).nonzero().tolist():
        axes.plot(*zip(places[one], places[other], strict=True), color="#22272b", linewidth=1.2, zorder=1)
    for node, kind in graph["atoms"][0].nonzero().tolist():
        ground = {"boxstyle": "circle,pad=0.15", "facecolor": "white", "edgecolor": "none"}
        ink = _ink(kind, len(words["kinds"]))
        across, down = places[node]
        axes.text(across, down, words["kinds"][kind], color=ink, weight="bold", size=9, ha="center", va="center", bbox=ground)
    file = io.BytesIO()
    drawing.savefig(file, format="png")
    return file.getvalue()


def _ink(kind: int, kinds: int) -> Any:
    """The commonest kind in the colour of writing, each other in one of its own."""
    from matplotlib.colors import hsv_to_rgb

    return hsv_to_rgb((kind / kinds, 0.8, 0.55)) if kind else "#22272b"
