"""What is passed around: inputs, labels, updates, with their shapes."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from lab.lazy import Float, Int, Tensor

Inputs = Tensor | Mapping[str, Tensor]
"""What a network eats: one tensor, as pictures are, or several by name, as a graph's features and edges; the batch comes first.

``lab.federated.inputs`` treats both alike.
"""

Shape = tuple[int, ...] | Mapping[str, tuple[int, ...]]
"""Of one input: that of its tensor, or of each by name."""

IMAGES = "images"
"""The modality, an entry of ``lab/modalities``, where nobody says another."""

Images = Float[Tensor, "batch channel height width"]
"""Pixel values in [0, 1], everywhere; normalisation is the first layer of each network."""

Suspects = Float[Tensor, "suspects channel height width"]
"""Pictures of the same size as a batch's, but not as many: a line-up, or decoys for it."""

Labels = Int[Tensor, " batch"]

Targets = Int[Tensor, " batch"] | Float[Tensor, "batch classes"]
"""Class numbers, or a probability for each class (labels that an attack optimises jointly)."""

Gradients = Mapping[str, Tensor]
"""Keyed like the ``Module.named_parameters()`` that train; a FedAvg weight change has the same form."""

Received = Gradients if TYPE_CHECKING else object
"""An update that has passed the door (``lab.federated.receiving``); what comes to the door may be anything."""
