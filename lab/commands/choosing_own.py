"""From what was typed to a round of one's own: a model, its weights and what a client sent, or a capture of all of them."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from lab.lazy import Tensor, nn

from lab.client.checkpoints.tree import leaves
from lab.client.checkpoints.weight_files import keeps_order, load_tensors
from lab.client.checkpoints.weights import Weights
from lab.commands.choosing import Choices, OwnFlags, choose_from
from lab.commands.user_code import load_model
from lab.errors import LabError, quoted
from lab.experiments.captured import observation_of
from lab.experiments.experiment import Experiment
from lab.experiments.recommended import recommended_for_observation
from lab.federated import captures
from lab.federated.networks.base import Network
from lab.federated.observation import LabelSource, Observation
from lab.federated.protocols.base import Protocol
from lab.federated.protocols.fedsgd import FedSGD
from lab.federated.recipes import protocol_of
from lab.observe import observe
from lab.options.text import parse_entry

if TYPE_CHECKING:
    from lab.attacks.base import Attack
    from lab.federated.captures import Capture

LIKE = "give CHANNELSxHEIGHTxWIDTH, such as 3x32x32"
OF_PROTOCOL = ("client_loss", "local_steps", "local_batch_size", "local_lr")
OF_ATTACK = ("distance", "tv", "iterations", "restarts")


def check_flags(own: OwnFlags, choices: Choices) -> None:
    """Raise ``LabError`` where flags do not go together, before anything is read."""
    edits = dict(choices.edits)
    simulated = {
        "--preset": choices.preset,
        "--experiment": choices.experiment,
        "--dataset": choices.dataset,
        "--image": choices.images or None,
        "--defence": choices.defences or None,
        "--epsilon": choices.epsilon,
        "--delta": choices.delta,
        "--trained or --untrained": choices.trained,
        "--size": edits.get("image_size"),
        "--channels": edits.get("channels"),
    }
    both = [flag for flag, given in simulated.items() if given is not None]
    if both:
        raise LabError(f"{both[0]} is for a round that the lab simulates, and --update brings one of your own; leave one out.")
    if own.update is None:
        raise LabError(
            "A round of your own needs what the client sent; give --update FILE, or leave --model, --like and such out."
        )
    if own.model is not None and choices.network is not None:
        raise LabError("--model and --network both say what was trained; give one of the two.")
    of_models = {"--like": own.like, "--mean": own.mean, "--std": own.std, "--weights": choices.weights}
    alone = [flag for flag, given in of_models.items() if given is not None and own.model is None]
    if alone:
        raise LabError(f"{alone[0]} goes with --model FILE.py:NAME; give that as well, or leave {alone[0]} out.")


def chosen_round(own: OwnFlags, choices: Choices) -> Observation:
    """The round as attacks take it, what is to be said of it in its notes. Raises ``LabError``."""
    assert own.update is not None
    capture = captures.read(own.update) if own.model is None or captures.is_capture(own.update) else None
    if own.model is not None:
        return _of_own_model(own, own.model, own.update, capture, choices)
    assert capture is not None
    return observation_of(
        capture,
        None if choices.network is None else parse_entry(Network, choices.network),
        labels=choices.labels_of_images,
        source=_source(choices),
        protocol=_protocol(capture, choices),
        pictures=_given(choices, "batch_size"),
    )


def chosen_attack(seen: Observation, choices: Choices) -> tuple[Attack, int]:
    """The attack, the recommended one where none was named, with what the flags change of it; and the seed."""
    flags = tuple(edit for edit in choices.edits if edit[0] in (*OF_ATTACK, "seed"))
    start = Experiment(attack=recommended_for_observation(seen))
    chosen = choose_from(start, Choices(attack=choices.attack, edits=flags))
    return chosen.attack, chosen.seed


def _of_own_model(own: OwnFlags, named: str, update: Path, capture: Capture | None, choices: Choices) -> Observation:
    model, notes = load_model(named)
    shape = _shape(own.like)
    if shape is None and capture is None:
        raise LabError(f"--update {update} does not say how large a picture is; {LIKE}, by --like.")
    if choices.weights is not None:
        notes = (*notes, *_loaded(model, choices.weights))
    seen = observe(
        model.eval(),
        _tensors(update) if capture is None else update,
        input_shape=shape,
        labels=list(choices.labels_of_images) or None,
        batch_size=_given(choices, "batch_size"),
        mean=_numbers("--mean", own.mean),
        std=_numbers("--std", own.std),
        protocol=_protocol(capture, choices),
        label_source=_source(choices),
    )
    return replace(seen, notes=(*notes, *seen.notes))


def _given(choices: Choices, path: str) -> int | None:
    return dict(choices.edits).get(path)


def _source(choices: Choices) -> LabelSource | None:
    """Where the labels come from, where that was said."""
    said = dict(choices.edits).get("labels")
    return None if said is None else choose_from(Experiment(), Choices(edits=(("labels", said),))).labels


def _protocol(capture: Capture | None, choices: Choices) -> Protocol:
    """The client's rule: the one given, else the capture's, with what the flags change of it."""
    if capture is None or choices.protocol is not None:
        start = FedSGD()
    else:
        start = protocol_of(replace(capture.recipe, **_rate(choices)))
    flags = tuple(edit for edit in choices.edits if edit[0] in OF_PROTOCOL)
    return choose_from(Experiment(protocol=start), Choices(protocol=choices.protocol, edits=flags)).protocol


def _rate(choices: Choices) -> dict[str, float]:
    """The rate, where it was said: a recipe may lack one."""
    rate = dict(choices.edits).get("local_lr")
    return {} if rate is None else {"learning_rate": rate}


def _loaded(model: nn.Module, file: Path) -> tuple[str, ...]:
    weights = Weights(leaves(load_tensors(file), file), str(file), in_order=keeps_order(file))
    notes = weights.put_into(model)
    if notes is None:
        raise weights.misfit(model)
    return notes


def _tensors(file: Path) -> dict[str, Tensor] | list[Tensor]:
    """The tensors of a file by name, or in its order where it names none."""
    found = {".".join(names): tensor for names, tensor in leaves(load_tensors(file, "updates"), file).items()}
    unnamed = all(re.fullmatch(r"(arr_)?\d+", name) for name in found)
    return list(found.values()) if unnamed else found


def _shape(text: str | None) -> tuple[int, ...] | None:
    if text is None:
        return None
    if not re.fullmatch(r"\d{1,5}x\d{1,5}x\d{1,5}", text):
        raise LabError(f"--like {quoted(text)} is not the shape of a picture; {LIKE}.")
    return tuple(map(int, text.split("x")))


def _numbers(flag: str, text: str | None) -> list[float] | None:
    """Numbers as typed: 0.5, or 0.49,0.48,0.45."""
    if text is None:
        return None
    try:
        return [float(part) for part in text.split(",")]
    except ValueError:
        raise LabError(f"{flag} {quoted(text)} is no number, nor one for each channel; give such as 0.49,0.48,0.45.") from None
