"""Lesson 3: the label, read off before the attack begins (iDLG, Zhao et al. 2020)."""

from __future__ import annotations

from collections.abc import Iterator

import torch
from torch import Tensor

from lab.course.exercises.base import Case, Exercise, Judge, equals


def cases(generator: torch.Generator) -> Iterator[Case]:
    """A fresh network, a confident one, one that is confidently wrong, and two classes."""
    for classes, spread, where in (
        (10, 0.1, "on a fresh network"),
        (7, 3.0, "on a trained network"),
        (2, 1.0, "on two classes"),
    ):
        logits = spread * torch.randn(classes, generator=generator, dtype=torch.float32)
        label = int(torch.randint(1, classes, (), generator=generator))
        yield Case((_slopes(logits, label),), _judge(_slopes(logits, label), label), where)
    logits = torch.tensor([4.0, 0.0, 0.0], dtype=torch.float32)
    yield Case((_slopes(logits, 2),), _judge(_slopes(logits, 2), 2), "where the network is confidently wrong")


def _slopes(logits: Tensor, label: int) -> Tensor:
    """dL/db = p - y."""
    return logits.softmax(0) - torch.eye(len(logits), dtype=torch.float32)[label]


def _judge(db: Tensor, label: int) -> Judge:
    return equals(
        label,
        (
            int(db.argmax()),
            "this is the largest entry, the wrong class that the network believes in most; the label's is negative.",
        ),
        (int(db.abs().argmin()), "this is the entry nearest to zero; the label's entry is the only negative one."),
        (float(db.min()), "this is the value of the entry; the label is its place."),
        (label + 1, "classes are counted from 0."),
        ((db < 0).float(), "this is the one-hot form; give the class number."),
        tolerance=0.0,
    )


EXERCISE = Exercise(
    lesson=3,
    task="label_of(db): the label of one private picture, from the last layer's dL/db (classes,)",
    praise="p - y: every entry is a probability except the label's, which is one less. The label leaks with no attack at all.",
    cases=cases,
)
