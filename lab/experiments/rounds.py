"""One round of federated learning and the attack on it."""

from __future__ import annotations

from collections.abc import Generator
from dataclasses import replace
from itertools import product
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from lab.attacks.base import Attack, AttackState
from lab.client import checkpoints
from lab.client.batch import Batch
from lab.client.defending import defended, extended, server_view, trained, withheld_tensors
from lab.errors import LabError, quoted
from lab.evaluation.round import Round
from lab.evaluation.truth import DECOYS, shipped_set
from lab.experiments.cost.fitting import check_size
from lab.experiments.experiment import Experiment
from lab.experiments.recommended import recommended_for_observation
from lab.federated.batch_statistics import Statistics, statistics_of_step
from lab.federated.classifier import Classifier
from lab.federated.inputs import concatenated, rows, shape_of
from lab.federated.observation import LabelSource, Observation
from lab.federated.protocols.base import Protocol
from lab.federated.tensors import Gradients, Inputs, Shape
from lab.machine import devices, threads
from lab.modalities.base import Modality, modality_of
from lab.modalities.images.statistics import own_statistics
from lab.options.catalogue import entries
from lab.randomness import stream

if TYPE_CHECKING:
    Seen = Observation
    Chosen = Attack
else:  # what comes to the door may be anything, and a sentence says what is wrong with it
    Seen = Chosen = Any


AVERAGED = "The server asked {asked} times at the same weights and took the mean, in which what a defence drew by chance fades."


def simulate_round(experiment: Experiment, on: torch.device | None = None) -> Round:
    """The client loads its inputs, computes the update, defends it and sends it.

    On the device given or the fastest there is; on the CPU where its memory runs out.
    Raises ``LabError`` where inputs or weights cannot be had, or data set and network speak of different things.
    """
    where = on or devices.choose()
    try:
        return _simulate(experiment, where)
    except RuntimeError as error:
        if not devices.can_fall_back(error, where):
            raise
        return _simulate(experiment, torch.device("cpu"))


def _simulate(experiment: Experiment, where: torch.device) -> Round:
    modality = experiment.modality
    check_size(experiment)
    batch = _private_batch(experiment).to(where)
    network, batch = build_network(experiment, batch)
    network = extended(experiment.defences, network, stream(experiment.seed, "weights of defences"))
    network = experiment.protocol.trains.prepared(network, stream(experiment.seed, "fine-tuned weights")).to(where)
    _check_labels(batch, network)
    with threads.computing(threads.threads_for(network)):
        clean = experiment.protocol.update(network, batch.inputs, batch.labels)
        sent = _defended(experiment, network, batch, clean)
    observation = Observation(
        network=network,
        protocol=server_view(experiment.defences, experiment.protocol, len(batch), experiment.asked),
        update=sent,
        input_shape=modality.guessed_shape(batch.inputs, network),
        batch_size=len(batch),
        label_source=experiment.labels,
        labels=batch.labels.clone() if experiment.labels is LabelSource.KNOWN else None,
        modality=modality.name,
        withheld=withheld_tensors(experiment.defences, network),
        rounds=experiment.asked,
        batch_statistics=_counted(experiment.protocol, network, batch),
        notes=(*experiment.protocol.notes, *([AVERAGED.format(asked=experiment.asked)] if experiment.asked > 1 else [])),
    )
    return Round(batch, clean, observation, _line_up(batch, experiment, modality))


def reconstruct(experiment: Experiment, observation: Observation) -> Generator[AttackState, None, None]:
    """The experiment's attack on the observation; the first candidate depends on the seed alone."""
    return attack(observation, experiment.attack, seed=experiment.seed)


def attack(seen: Seen, attack: Chosen | None = None, *, seed: int = 0) -> Generator[AttackState, None, None]:
    """What an attack makes of an observation, state by state; the last one has an ``outcome``, and says what limits it.

    Without an ``attack`` of its own it is the one that serves such a network best (``recommended``). ``seed`` is that of
    everything random in it. It computes with the threads that serve the network; between two states the caller has its own.
    Where a graphics card's memory runs out, it starts over on the CPU. To stop, ask for no more states.
    Raises ``LabError`` for what is no observation or no attack, and where labels that it needs cannot be inferred.
    """
    _check_what_is_attacked(seen)
    chosen = recommended_for_observation(seen) if attack is None else attack
    _check_attack(chosen, seen)
    return _with_its_threads(seen, chosen, seed)


def _check_what_is_attacked(given: object) -> None:
    if not isinstance(given, Observation):
        raise LabError(f"seen = {quoted(given)} is no observation; give what lab.observe(model, update, ...) returns.")


def _check_attack(given: object, seen: Observation) -> None:
    if not isinstance(given, Attack):
        raise LabError(f"attack = {quoted(given)} is no attack; give one, such as lab.GradientMatching() or lab.Recursive().")
    if not given.suits(seen.modality):
        raise LabError(
            f"The attack {given.name} finds {modality_of(given.modality).many}, and {modality_of(seen.modality).many} are "
            f"sought; take {_attacks_on(seen)}."
        )


def _attacks_on(seen: Observation) -> str:
    """The attacks that find such inputs, the recommended one first, then those made for them, in words."""
    suitable = [kind for kind in entries("attack").values() if issubclass(kind, Attack) and kind.suits(seen.modality)]
    best = recommended_for_observation(seen)
    suitable.sort(key=lambda kind: (kind is not type(best), not kind.modality))
    *others, last = (kind.name for kind in suitable if kind.seeks_inputs)
    return f"{', '.join(others)} or {last}"


def _with_its_threads(observation: Observation, attack: Attack, seed: int) -> Generator[AttackState, None, None]:
    states, most = _attacked(observation, attack, seed), threads.threads_for(observation.network)
    try:
        while True:
            with threads.computing(most):
                state = next(states, None)
            if state is None:
                return
            yield state
    finally:
        states.close()


def _attacked(observation: Observation, attack: Attack, seed: int) -> Generator[AttackState, None, None]:
    no_labels = observation.tells_nothing and observation.labels is None
    try:
        for state in attack.reconstruct(observation, stream(seed, "candidate")):
            yield _as_told(replace(state, labels=None) if no_labels else state, observation)
    except LabError as error:
        raise LabError(observation.as_given(str(error))) from None
    except RuntimeError as error:
        if not devices.can_fall_back(error, observation.device):
            raise
        yield from _attacked(observation.to(torch.device("cpu")), attack, seed)


def _as_told(state: AttackState, observation: Observation) -> AttackState:
    """A state with its layers called as the model's owner does; at the end of an attack, with what was said of what it saw."""
    notes = observation.notes if state.outcome is not None else ()
    note = " ".join(filter(None, (observation.as_given(state.note), *notes)))
    return state if note == state.note else replace(state, note=note)


def build_network(experiment: Experiment, batch: Batch) -> tuple[Classifier, Batch]:
    """The network with fresh or trained weights, in eval mode, sized for the batch and its classes; and the batch.

    Weights that were trained on grey pictures get grey ones, and those trained on colours three channels; the batch's
    notes say so, and whatever else was made of the weights. Raises ``LabError`` where they do not fit.
    """
    if not experiment.trained:
        return _built(experiment, shape_of(batch.inputs), len(experiment.class_names)), batch
    weights = checkpoints.weights(experiment.network, experiment.weights)
    modality = experiment.modality
    tried: list[Classifier] = []
    for shape, classes in product(modality.other_shapes(shape_of(batch.inputs)), weights.classes):
        network = _built(experiment, shape, classes)
        notes = weights.put_into(network)
        if notes is not None:
            inputs, made = modality.in_shape(batch.inputs, shape)
            return network, replace(batch, inputs=inputs, notes=tuple(filter(None, (*batch.notes, *notes, made))))
        tried.append(network)
    raise weights.misfit(min(tried, key=weights.strangeness), modality.name)


def _built(experiment: Experiment, shape: Shape, classes: int) -> Classifier:
    network = experiment.network.build(shape, classes, stream(experiment.seed, "weights"))
    if experiment.takes_pictures:
        network.normalise = own_statistics(experiment.network, shape, experiment.mean, experiment.std) or network.normalise
    return network


def _counted(protocol: Protocol, network: Classifier, batch: Batch) -> dict[str, Statistics]:
    """What the client's batch norms tell of its batch, where it sends what they counted."""
    return statistics_of_step(network, batch.inputs, protocol.steps(len(batch))) if protocol.sends_statistics else {}


def _check_labels(batch: Batch, network: Classifier) -> None:
    highest = int(batch.labels.max())
    if highest >= network.classes:
        raise LabError(
            f"A private input has label {highest}, but the network tells {network.classes} classes apart; "
            f"give labels from 0 to {network.classes - 1}, or a network with more classes."
        )


def _private_batch(experiment: Experiment) -> Batch:
    batch = experiment.dataset.load(experiment.batch_size, experiment.size, stream(experiment.seed, "data"))
    labels = torch.zeros_like(batch.labels) if experiment.network.own_classes else batch.labels
    return replace(batch, inputs=_as_asked(batch.inputs, experiment), labels=labels)


def _as_asked(inputs: Inputs, experiment: Experiment) -> Inputs:
    return experiment.formed(inputs, experiment.network.image_size) if experiment.takes_pictures else inputs


def _defended(experiment: Experiment, network: Classifier, batch: Batch, clean: Gradients) -> Gradients:
    """What is sent; asked again and again at the same weights, the mean of it: chance averages out, and memories are paid."""
    defences, generator = experiment.defences, stream(experiment.seed, "defence")
    total, memories = dict[str, Tensor](), ()
    for _ in range(experiment.asked):
        own = trained(defences, experiment.protocol, network, batch, generator, clean)
        left, memories = defended(defences, own, generator, memories)
        sent = experiment.protocol.sent(left)
        total = {name: total[name] + tensor if name in total else tensor for name, tensor in sent.items()}
    return total if experiment.asked == 1 else {name: tensor / experiment.asked for name, tensor in total.items()}


def _line_up(batch: Batch, experiment: Experiment, modality: Modality) -> Inputs:
    """The first private input, then others of its data set, or of the one that ships where the set has no more."""
    generator = stream(experiment.seed, "line-up")
    own = experiment.dataset.others(len(batch), DECOYS, experiment.size, generator)
    others = shipped_set(modality).decoys(batch.inputs, DECOYS, generator) if own is None else _as_asked(own, experiment)
    return concatenated(rows(batch.inputs, slice(1)), modality.alike(others, batch.inputs))
