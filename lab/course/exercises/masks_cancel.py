"""Lesson 12: secure aggregation, where masks hide each update and cancel in the sum."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import combinations

import torch
from torch import Tensor

from lab.course.exercises.base import Case, Exercise, Judge, equals

LARGEST, MASK = 1000, 2**45
"""Of an update and of a mask, in whole numbers: sums of some of them are exact in the comparison as well."""


def cases(generator: torch.Generator) -> Iterator[Case]:
    """Two clients, three and six; some pairs that share no mask."""
    for clients, numbers in ((2, 3), (3, 5), (6, 4)):
        pairs = {pair: _drawn(MASK, (numbers,), generator) for pair in combinations(range(clients), 2)}
        yield _case(clients, numbers, pairs, generator, f"for {clients} clients")
    yield _case(4, 3, {(0, 1): pairs[0, 1][:3], (2, 3): pairs[2, 3][:3]}, generator, "where two pairs alone share a mask")


def _drawn(most: int, shape: tuple[int, ...], generator: torch.Generator) -> Tensor:
    return torch.randint(-most, most, shape, generator=generator, dtype=torch.int64)


def _case(clients: int, numbers: int, pairs: dict[tuple[int, int], Tensor], generator: torch.Generator, where: str) -> Case:
    updates = _drawn(LARGEST, (clients, numbers), generator)
    return Case((updates, pairs), _judge(updates, pairs), where)


def _judge(updates: Tensor, pairs: dict[tuple[int, int], Tensor]) -> Judge:
    added, taken = _of_all(updates, pairs, 0), _of_all(updates, pairs, 1)
    right = updates + added - taken
    return equals(
        right,
        (updates, "the updates leave in the clear; each client adds or takes off the masks that it shares."),
        (updates - added + taken, "it cancels the other way round as well, but all have to agree: the lower number adds."),
        (updates + added + taken, "both of a pair added their mask, so it stands in the sum twice; one of them takes it off."),
        (updates - added - taken, "both of a pair took their mask off, so it is in the sum; one of them adds it."),
        (updates + added, "only one of each pair used the mask, so nothing takes it off the sum again."),
        (updates - taken, "only one of each pair used the mask, so nothing takes it off the sum again."),
        (added - taken, "these are masks without the updates: they cancel, and nothing is left."),
        (updates.sum(0), "this is what the server ends with; give what each client sends, one a row."),
        tolerance=0.0,
    )


def _of_all(updates: Tensor, pairs: dict[tuple[int, int], Tensor], side: int) -> Tensor:
    """For each client the sum of the masks in whose pair it stands on this side."""
    own = [[mask for pair, mask in pairs.items() if pair[side] == client] for client in range(len(updates))]
    return torch.stack([sum(masks, torch.zeros_like(updates[0])) for masks in own])


EXERCISE = Exercise(
    lesson=12,
    task="masks_cancel(updates, pairs): what each client sends, one a row; of a pair the lower number adds the mask",
    praise="Without its masks each row is noise, and the sum is exact: no accuracy was paid. Who checks the weights?",
    cases=cases,
)
