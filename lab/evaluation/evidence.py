"""What speaks for a reconstruction where nobody knows the truth: what it explains, what else would, and how real it looks."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum

from lab.late import torch

from lab import device
from lab.attacks.base import AttackState
from lab.evaluation.uniqueness import hidden_share
from lab.federated.observation import Observation
from lab.federated.tensors import Images, Labels
from lab.federated.updates import length
from lab.randomness import stream

PHOTOGRAPHS = 7
EXPLAINED, HIDDEN, ROUGH = 0.3, 0.45, 1.5
"""Up to which residual a picture explains an update; beyond which hidden share, and how many times as rough as a photograph,
it is doubted."""
TINY = 1e-30


class Belief(Enum):
    """What the evidence comes to; the value is the sentence the reader sees."""

    EXPLAINED = "The picture explains what was sent, and one that is much different would not: it is to be believed."
    OPEN = "The picture explains what was sent, but so would others that differ from it: only its gist is to be believed."
    UNNATURAL = "The picture explains what was sent, but is rougher than photographs are: the details are not to be believed."
    UNEXPLAINED = "The picture does not explain what was sent, so it is not to be believed; gradlab diagnose may tell why."
    UNKNOWN = "Nothing tells whether the picture explains what was sent: the attack found no labels to send it with."


@dataclass(frozen=True)
class Evidence:
    """Three numbers, what each is held against, and the sentence that sums them up."""

    belief: Belief
    residual: float | None
    """The share of the update that the picture's own leaves unexplained; 1 is what no picture at all leaves."""
    hidden: float | None
    """Of a random change of the picture by a tenth, the share that would leave as little unexplained."""
    unknowns: int
    equations: int
    """Pixels sought, and numbers sent."""
    roughness: float
    """The mean step between neighbouring pixels; 0 is one grey."""
    roughest_photograph: float
    """The same of the roughest of some photographs."""

    @property
    def sentences(self) -> tuple[str, ...]:
        """For a reader."""
        told = [self.belief.value]
        if self.residual is not None:
            told.append(f"Residual: its own update leaves {100 * self.residual:.3g} % of the one sent unexplained.")
        if self.hidden is not None:
            told.append(
                f"Uniqueness: {100 * self.hidden:.2g} % of a random change of the picture by a tenth would leave as little; "
                f"{self.equations:,} numbers tell of {self.unknowns:,} pixels."
            )
        told.append(
            f"Realism: neighbouring pixels differ by {100 * self.roughness:.2g} % on average; of the roughest of {PHOTOGRAPHS} "
            f"photographs {100 * self.roughest_photograph:.2g} %."
        )
        return tuple(told)


def evidence(seen: Observation, state: AttackState) -> Evidence:
    """What the attack's own numbers say of its picture; needs no truth."""
    candidate = state.images.detach().to(next(iter(seen.update.values()))).clamp(0, 1)
    labels = seen.labels if state.labels is None else state.labels.to(seen.device)
    residual = hidden = None
    if labels is not None and len(labels) == len(candidate):
        with device.computing(device.threads_for(seen.network)):
            residual = _residual(seen, candidate, labels)
            hidden = hidden_share(seen, candidate, labels, residual)
    rough, roughest = _roughness(candidate), _roughest_photograph(candidate)
    equations = sum(tensor.numel() for tensor in seen.update.values())
    return Evidence(
        belief=_belief(residual, hidden, rough / max(roughest, TINY), fewer=equations < candidate.numel()),
        residual=residual,
        hidden=hidden,
        unknowns=candidate.numel(),
        equations=equations,
        roughness=rough,
        roughest_photograph=roughest,
    )


def _belief(residual: float | None, hidden: float | None, roughness: float, *, fewer: bool) -> Belief:
    if residual is None or hidden is None:
        return Belief.UNKNOWN
    if not residual <= EXPLAINED:
        return Belief.UNEXPLAINED
    if roughness > ROUGH:
        return Belief.UNNATURAL
    return Belief.OPEN if fewer or hidden > HIDDEN else Belief.EXPLAINED


def _residual(seen: Observation, images: Images, labels: Labels) -> float:
    """The share of the update that these pictures' own leaves unexplained."""
    sent = seen.protocol.update(seen.network, images, labels)
    left = {name: tensor - sent[name] for name, tensor in seen.update.items()}
    return float(length(left) / length(seen.update).clamp_min(TINY))


def _roughness(images: Images) -> float:
    steps = [images.diff(dim=axis).abs().mean() for axis in (2, 3) if images.shape[axis] > 1]
    return float(torch.stack(steps).mean()) if steps else 0.0


def _roughest_photograph(images: Images) -> float:
    """Of photographs of the gallery as large as these pictures."""
    from lab.client.datasets.gallery import decoys  # imported here: it reads the gallery's list

    return max(_roughness(other[None]) for other in decoys(images, PHOTOGRAPHS, stream(0, "photographs to compare with")))
