"""What an update, or the code of a defence, tells next of how a client computed; attacks then see another observation."""

from __future__ import annotations

from dataclasses import replace

from lab.attacks.labels.llg import multi_labels, multi_labels_note
from lab.attacks.matching.deduced_observation import DeducedObservation
from lab.federated.observation import LabelSource, Observation
from lab.federated.tensors import IMAGES
from lab.federated.update_names import spoken_names

TENSORS_LEFT_OUT = "A defence leaves out gradients of {names}, so the other layers are compared."


def deduce(observation: Observation) -> DeducedObservation | None:
    """What is told next of what a client drew by chance, or leaves out; None where all of it is known."""
    from lab.attacks.matching.dropped_features import detect_dropped
    from lab.attacks.matching.sampled_code import recover_code  # imported here: they need torch

    return recover_code(observation) or _left_out(observation) or detect_dropped(observation) or _several_labels(observation)


def _several_labels(observation: Observation) -> DeducedObservation | None:
    """The client as one whose picture's labels were told, where the update shows that they are none or several."""
    asked = observation.label_source is LabelSource.INFERRED and observation.modality == IMAGES
    row = multi_labels(observation) if asked else None
    if row is None:
        return None
    return DeducedObservation(replace(observation, labels=row, label_source=LabelSource.KNOWN), multi_labels_note(row))


def _left_out(observation: Observation) -> DeducedObservation | None:
    """The client without the layers of which a defence, whose code the server knows, leaves a part out."""
    if not observation.withheld:
        return None
    return DeducedObservation(observation.without_withheld(), TENSORS_LEFT_OUT.format(names=spoken_names(observation.withheld)))
