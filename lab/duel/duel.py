"""The study *duel*: every defence at five strengths against two attackers, on two networks, early and late in training."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Annotated, ClassVar, cast

from lab.attacks.base import Attack
from lab.attacks.matching.settings import Matching
from lab.client.defences.base import STRENGTHS, Defence
from lab.duel.front import EARLY, LATE
from lab.experiments.experiment import Experiment
from lab.experiments.recommended import recommended_for
from lab.federated.networks.base import Network
from lab.federated.networks.mlp import MLP
from lab.federated.networks.small_convnet import SmallConvNet
from lab.options.catalogue import entries, find
from lab.options.fields import Bounds, Help, fields_of
from lab.studies.base import Cell, Study

NETWORKS: tuple[Network, ...] = (SmallConvNet(), MLP())
NAIVE, ADAPTIVE = "naive", "knowing"
"""The attack that is recommended for such a network, without what it reads off an update or knows of defences, and with it."""
NOBODY = "no defence"


@dataclass(frozen=True)
class DuelCell:
    """One defence at one strength against one attacker; with every picture and seed it is a cell of the study."""

    network: Network
    phase: str
    defence: Defence | None
    strength: int
    """Of its own five, from 1 on; 0 where there is no defence."""
    attacker: str
    """``NAIVE``, ``ADAPTIVE``, or the name of an attack of one's own."""
    batch_size: int
    experiment: Experiment

    @property
    def name(self) -> str:
        """Such as "small_convnet early, pruning 4 of 5, knowing"."""
        who = NOBODY if self.defence is None else f"{self.defence.name} {self.strength} of {STRENGTHS}"
        several = f" of {self.batch_size} pictures" if self.batch_size > 1 else ""
        return f"{self.network.name} {self.phase}, {who}{several}, {self.attacker}"


@dataclass(frozen=True)
class Duel(Study):
    """Leak against price: the catalogue's defences, naive attackers and those that know the defence."""

    title: ClassVar[str] = "Duel: every defence against attackers that know it, and those that do not"
    paper_item: ClassVar[str] = "Yue et al. 2023, Balunovic et al. 2022, as a study of all defences"
    small_images: ClassVar[int] = 20
    paper_images: ClassVar[int] = 20

    seeds: Annotated[int, Bounds(1, 100), Help("seeds a picture, each with weights and a first candidate of its own")] = 3
    defence: Annotated[str, Help("the only one that takes part; empty takes the catalogue's")] = ""
    attack: Annotated[str, Help("the only attacker; empty takes the naive one and the one who knows")] = ""

    def cells(self) -> tuple[Cell, ...]:
        """Of every bout."""
        return tuple(self.cell(bout.name, bout.experiment) for bout in self.bouts())

    def bouts(self) -> tuple[DuelCell, ...]:
        """Network by network, early then late, without a defence first."""
        return tuple(
            bout for network in NETWORKS for phase in (EARLY, LATE) for bout in self._on(network, phase, self._entries())
        )

    def _entries(self) -> list[type[Defence]]:
        names = [self.defence] if self.defence else list(entries("defence"))
        return [cast("type[Defence]", find("defence", name)) for name in names]

    def _on(self, network: Network, phase: str, chosen: list[type[Defence]]) -> Iterator[DuelCell]:
        for pictures in sorted({entry.least_inputs for entry in chosen}):
            yield from self._against(network, phase, None, 0, pictures)
        for entry in chosen:
            for strength, defence in enumerate(entry.strengths(), 1):
                yield from self._against(network, phase, defence, strength, entry.least_inputs)

    def _against(
        self, network: Network, phase: str, defence: Defence | None, strength: int, pictures: int
    ) -> Iterator[DuelCell]:
        defences = () if defence is None else (defence,)
        whole = Experiment(network=network, trained=phase == LATE, defences=defences, batch_size=pictures)
        for attacker, attack in self._attackers(whole).items():
            yield DuelCell(network, phase, defence, strength, attacker, pictures, replace(whole, attack=self._so_long(attack)))

    def _attackers(self, experiment: Experiment) -> dict[str, Attack]:
        if self.attack:
            return {self.attack: cast("Attack", find("attack", self.attack)())}
        knowing = recommended_for(experiment)
        naive = replace(knowing, reading=False) if isinstance(knowing, Matching) else knowing
        return {NAIVE: naive, ADAPTIVE: knowing}

    def _so_long(self, attack: Attack) -> Attack:
        """With as many steps as were asked for, where it counts steps."""
        counts = any(field.name == "iterations" for field in fields_of(type(attack)))
        return replace(attack, iterations=self.iterations) if self.iterations and counts else attack
