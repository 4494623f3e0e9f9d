"""The derivation as plain data and arrays, ready for the browser."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from widgets.readouts.spanned import spanned
from widgets.run.frames import pixels, spoken_names

if TYPE_CHECKING:
    from lab import Experiment, Round
    from lab.evaluation.derivation import Derivation
    from lab.evaluation.round import RoundWithoutTruth

SHOWN = 6
"""How many entries of a row are written out."""


def algebra(experiment: Experiment, attacked: Round | RoundWithoutTruth, row: int | None = None) -> dict[str, Any]:
    """Everything the algebra panel shows for unit ``row`` (None: the loudest one).

    ``readable`` is False where the network has no layer to read; only ``sentence`` is there then.
    ``has_body`` is True where pictures pass through layers below the fully connected ones; words are checked against ``span``.
    A silent unit cannot be divided by: ``notice`` says so, and the loudest one is shown.
    """
    from torch import nn

    from lab import LabError, Round
    from lab.attacks.analytic import why_not_recovered
    from lab.attacks.closed_form.outcomes import ClosedFormOutcome
    from lab.evaluation.derivation import derive
    from lab.federated.inputs import first
    from lab.federated.tensors import IMAGES
    from lab.modalities.base import modality_of

    notice = ""
    try:
        derivation = derive(attacked, row)
    except LabError as error:
        derivation, notice = derive(attacked), str(error)
    of_pictures = attacked.observation.modality == IMAGES
    has_body = of_pictures and not isinstance(attacked.observation.network.features, nn.Identity)
    if derivation is None:
        reason, _ = why_not_recovered(attacked.observation)
        return {
            "readable": False,
            "sentence": reason.value,
            "has_body": has_body,
            "span": spanned(attacked.observation),
        }
    features = modality_of(attacked.observation.modality).features
    shows_picture = of_pictures and derivation.found is not None
    divisor = float(derivation.bias_gradient[derivation.row])
    shown, truth = _shown(derivation), derivation.truth
    layers = dict.fromkeys(name.rpartition(".")[0] for name in attacked.observation.update)
    return {
        "readable": True,
        "has_body": has_body,
        "network": experiment.network.name,
        "layer": spoken_names(attacked.observation.network, layers)[derivation.layer],
        "row": derivation.row,
        "rows": len(derivation.bias_gradient),
        "slopes": _floats(derivation.bias_gradient),
        "divisor": divisor,
        "notice": notice,
        "positions": shown,
        "weight_row": _floats(derivation.weight_row[shown]),
        "recovered": _floats(derivation.recovered[shown]),
        "truth": None if truth is None else _floats(truth[0][shown]),
        "recovered_all": _floats(derivation.recovered),
        "truth_all": None if truth is None else _floats(truth[0]),
        "inputs": len(derivation.recovered),
        "is_picture": shows_picture,
        "recovered_picture": pixels(first(derivation.found))[0] if derivation.found is not None and shows_picture else None,
        "true_picture": pixels(attacked.batch.images[:1])[0] if of_pictures and isinstance(attacked, Round) else None,
        "error": derivation.max_abs_error,
        "residual": derivation.residual,
        "outcome": derivation.outcome.name,
        "sentence": features
        if features and derivation.outcome is ClosedFormOutcome.FEATURES_ONLY
        else derivation.outcome.value,
        "conditions": [vars(condition) for condition in derivation.conditions],
    }


def _shown(derivation: Derivation) -> list[int]:
    """The entries written out: the first pixels, or the strongest features (most of the others are zero)."""
    if derivation.found is not None:
        return list(range(min(SHOWN, len(derivation.recovered))))
    return sorted(derivation.recovered.abs().topk(min(SHOWN, len(derivation.recovered))).indices.tolist())


def _floats(values: Any) -> np.ndarray:
    return values.detach().cpu().numpy().astype(np.float32)
