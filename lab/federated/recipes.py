"""What a capture's recipe says, as the lab's options: the client's protocol, and what of it nobody simulates."""

from __future__ import annotations

from typing import TYPE_CHECKING

from lab.errors import LabError, quoted
from lab.federated.gradients import MEAN_CROSS_ENTROPY
from lab.federated.local_optimisers.base import LocalOptimiser
from lab.federated.local_optimisers.sgd import LocalSGD
from lab.federated.losses.base import Loss
from lab.federated.protocols.base import Protocol
from lab.federated.protocols.fedavg import FedAvg
from lab.federated.protocols.fedsgd import FedSGD
from lab.options.catalogue import entries
from lab.options.fields import fields_of
from lab.options.plain import from_plain
from lab.options.text import parse_entry

if TYPE_CHECKING:
    from lab.capture import Recipe


def protocol_of(recipe: Recipe) -> Protocol:
    """The client's rule. Raises ``LabError`` where a change of weights comes without a rate, or beyond what is simulated."""
    loss = _loss(recipe) or MEAN_CROSS_ENTROPY
    if recipe.sent == "gradient":
        return FedSGD(loss=loss)
    if recipe.learning_rate is None:
        raise LabError("The recipe tells no learning rate, without which a change of weights has no length; give --local-lr.")
    whole = recipe.batch_size is None or recipe.pictures is None or recipe.batch_size >= recipe.pictures
    return FedAvg(
        local_steps=recipe.local_steps,
        batch_size=0 if whole else recipe.batch_size or 0,
        learning_rate=recipe.learning_rate,
        optimiser=_optimiser(recipe) or LocalSGD(),
        loss=loss,
    )


def not_simulated(recipe: Recipe, protocol: Protocol) -> tuple[str, ...]:
    """What the client did and an attack by that rule takes no account of, a sentence each."""
    said = list(recipe.notes)
    if _loss(recipe) is None and protocol.loss == MEAN_CROSS_ENTROPY:
        said.append(f"The client's loss was {quoted(recipe.loss)}; the attack takes it for the mean cross entropy.")
    if recipe.sent == "change" and _optimiser(recipe) is None and getattr(protocol, "optimiser", LocalSGD()) == LocalSGD():
        settings = ", ".join(f"{name} = {value:g}" for name, value in recipe.settings.items())
        how = f"{quoted(recipe.optimiser)} ({settings or 'nothing told'})"
        said.append(f"The client stepped by {how}; the attack takes it for plain SGD.")
    return tuple(said)


def _loss(recipe: Recipe) -> Loss | None:
    """The loss as the lab simulates it; None where it has none of this name, or not with these settings."""
    try:
        return parse_entry(Loss, recipe.loss)
    except LabError:
        return None


def _optimiser(recipe: Recipe) -> LocalOptimiser | None:
    """The optimiser as the lab simulates it; None where it has none of this name, or not with these settings."""
    name = recipe.optimiser.lower()
    if name not in entries("local_optimiser"):
        return None
    kinds = {field.name: field.type for field in fields_of(entries("local_optimiser")[name])}
    settings = dict(recipe.settings)
    if recipe.local_steps == 1 and "nesterov" not in settings:
        settings.pop("momentum", None)  # it makes no difference before the second step
    if not settings.keys() <= kinds.keys():
        return None
    given = {key: bool(value) if kinds[key] is bool else value for key, value in settings.items()}
    return from_plain(LocalOptimiser, {"name": name, **given}, "the recipe's optimiser")
