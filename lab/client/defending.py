"""A client's defences one after another, with what each remembers from round to round, and a look at what comes out."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from lab.lazy import nn, torch

from lab.client.batch import Batch
from lab.client.defences.base import Defence
from lab.errors import LabError
from lab.federated.protocols.base import Protocol
from lab.federated.tensors import Gradients
from lab.federated.updates import shapes

if TYPE_CHECKING:
    from lab.federated.classifier import Classifier

Memories = tuple[Gradients, ...]
"""What each defence of a client keeps for its next round; empty for one that keeps nothing."""


def extended(defences: Sequence[Defence], network: Classifier, generator: torch.Generator) -> Classifier:
    """The network that all train under these defences, with fresh weights for what they put into it; else itself.

    Raises ``LabError`` where it has no place for that.
    """
    from lab.federated.classifier import Classifier
    from lab.federated.single_precision import SinglePrecision
    from lab.private_draws import UseGenerator

    with SinglePrecision(), UseGenerator(generator):
        head = extended_head(defences, network.head)
    if head is network.head:
        return network
    return Classifier(network.normalise, network.features, head.to(next(network.parameters())), network.classes).eval()


def extended_head(defences: Sequence[Defence], head: nn.Sequential) -> nn.Sequential:
    """The head alone of that, drawn as torch draws."""
    for defence in defences:
        head = defence.extended(head)
    return head


def trained(
    defences: Sequence[Defence],
    protocol: Protocol,
    network: nn.Module,
    batch: Batch,
    generator: torch.Generator,
    clean: Gradients | None = None,
) -> Gradients:
    """What a client computes whose defences may change how it trains; ``clean`` if none does and that is known."""
    rule = plain = protocol.rule
    for defence in defences:
        rule = defence.training(rule, generator)
    if rule is plain:
        return protocol.update(network, batch.inputs, batch.labels) if clean is None else clean
    return protocol.trained(network, batch.inputs, batch.labels, rule)


def defended(
    defences: Sequence[Defence], update: Gradients, generator: torch.Generator, memories: Memories = ()
) -> tuple[Gradients, Memories]:
    """The update that is sent, and what the defences remember of it.

    Raises ``LabError`` where a defence gives tensors of other names or shapes, or numbers that are not finite.
    """
    kept: list[Gradients] = []
    for place, defence in enumerate(defences):
        sent, memory = defence.remembering(update, memories[place] if place < len(memories) else {}, generator)
        _check(defence, update, sent)
        update = sent
        kept.append(memory)
    return update, tuple(kept)


def server_view(defences: Sequence[Defence], protocol: Protocol, pictures: int, asked: int = 1) -> Protocol:
    """What a server that has the defences' code simulates of a client; of a mean of several draws it knows nothing more."""
    told = protocol.server_view()
    for defence in defences if asked == 1 else ():
        told = defence.server_view(told, pictures)
    return told


def withheld_tensors(defences: Sequence[Defence], network: nn.Module) -> tuple[str, ...]:
    """The tensors of which a part is left out, as whoever has the defences' code knows."""
    return tuple(dict.fromkeys(name for defence in defences for name in defence.withheld_tensors(network)))


def _check(defence: Defence, before: Gradients, after: Gradients) -> None:
    if shapes(after) != shapes(before):
        raise LabError(
            f"The defence {defence.name} changed the names or shapes of the update's tensors; let it give one of the same "
            "shape for each."
        )
    for name, tensor in after.items():
        if tensor.isfinite().all() or not before[name].isfinite().all():
            continue
        raise LabError(f"The defence {defence.name} made numbers of {name} that are not finite; take a weaker one, or mend it.")
