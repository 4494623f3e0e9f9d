"""What a capture's recipe says, as the lab's options: the client's protocol, and what of it nobody simulates."""

from __future__ import annotations

from typing import TYPE_CHECKING

from lab.errors import LabError, quoted
from lab.federated.protocols.base import Protocol
from lab.federated.protocols.fedavg import FedAvg
from lab.federated.protocols.fedsgd import FedSGD

if TYPE_CHECKING:
    from lab.capture import Recipe

LOSS, RULE = "cross_entropy", "SGD"


def protocol_of(recipe: Recipe) -> Protocol:
    """The client's rule. Raises ``LabError`` where a change of weights comes without a rate, or beyond what is simulated."""
    if recipe.sent == "gradient":
        return FedSGD()
    if recipe.learning_rate is None:
        raise LabError("The recipe tells no learning rate, without which a change of weights has no length; give --local-lr.")
    whole = recipe.batch_size is None or recipe.pictures is None or recipe.batch_size >= recipe.pictures
    return FedAvg(
        local_steps=recipe.local_steps,
        batch_size=0 if whole else recipe.batch_size or 0,
        learning_rate=recipe.learning_rate,
    )


def not_simulated(recipe: Recipe) -> tuple[str, ...]:
    """What the client did and the attack takes no account of, a sentence each."""
    said = list(recipe.notes)
    if recipe.loss != LOSS:
        said.append(f"The client's loss was {quoted(recipe.loss)}; the attack takes it for the mean cross entropy.")
    momentum = recipe.settings.get("momentum") and recipe.local_steps > 1
    decay = recipe.settings.get("weight_decay")
    if recipe.optimiser != RULE or momentum or decay:
        settings = ", ".join(f"{name} = {value:g}" for name, value in recipe.settings.items())
        said.append(
            f"The client stepped by {recipe.optimiser} ({settings or 'nothing told'}); the attack takes it for plain SGD."
        )
    return tuple(said)
