"""The shield of the phone and who attacks it: what the page offers of both, and what each shield was measured to cost."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, cast

from widgets.form.controls import called

if TYPE_CHECKING:
    from lab import Experiment
    from lab.client.defences.base import Defence
    from lab.duel.prices import Price, StoredGuarantee

NONE, SEVERAL = "none", "several"
NAIVE, KNOWING = "naive", "knowing"
NOT_PRICED = "Its price was not measured."
DIVERGED = "Its price: the network learned nothing, each training with it diverged."
OF_SEVERAL = "Several shields at once, as a link or a file can ask for; their price was not measured."

Told = dict[str, Any]


def choices() -> list[dict[str, str]]:
    """No shield, then every defence of the catalogue."""
    from lab.options.catalogue import entries

    return [{"value": name, "label": called(name)} for name in (NONE, *entries("defence"))]


def shield(experiment: Experiment) -> Told:
    """The present shield, the five strengths of its kind, and what is told and promised of each.

    ``place`` is that of its strength, counted from 1; of a strength of one's own that of the nearest below.
    """
    if len(experiment.defences) > 1:
        return {"defence": SEVERAL, "place": 0, "value": "", "told": [OF_SEVERAL], "promised": [], "steps": []}
    if not experiment.defences:
        return {"defence": NONE, "place": 0, "value": "", **_told(None), "steps": []}
    (defence,) = experiment.defences
    needs = _needs(defence, experiment.batch_size)
    present, *steps = ({"value": dial(each), **_told(each, *needs)} for each in (defence, *type(defence).strengths()))
    return {"defence": defence.name, "place": _place(defence), "steps": steps} | present


def shielded(experiment: Experiment, name: str, strength: int = 0) -> Experiment:
    """With this defence at one of its five strengths, that in the middle by default; the attacker stays who he is.

    Raises ``LabError`` for one that there is not.
    """
    from lab.experiments.edits import patched
    from lab.options.catalogue import find
    from lab.options.plain import to_plain

    if name == NONE:
        return patched(experiment, [("defences", [])])
    strengths = cast("type[Defence]", find("defence", name)).strengths()
    place = strength if 0 < strength <= len(strengths) else (len(strengths) + 1) // 2
    return patched(experiment, [("defences", [to_plain(strengths[place - 1])])])


def attacker(experiment: Experiment) -> str:
    """Who attacks a shield: ``NAIVE``, ``KNOWING``, or nobody of whom that could be said."""
    if not experiment.defences or not hasattr(experiment.attack, "reading"):
        return ""
    return KNOWING if experiment.attack.reading else NAIVE  # type: ignore[attr-defined]


def attacked_by(experiment: Experiment, who: str) -> Experiment:
    """The same with this attacker, who is as before in all else. Raises ``LabError`` where the attack is of another kind."""
    from lab.experiments.edits import patched

    return patched(experiment, [("attack.reading", who == KNOWING)])


def of_what() -> str:
    """What a price is of."""
    from lab.duel.prices import shipped

    told = shipped().federation
    return (
        f"The share of test pictures that a federation gets right which was trained with this shield on every client: "
        f"{told['clients']} clients, {told['rounds']} rounds, the {called(told['network']['name'])}, "
        f"{called(told['dataset']['name'])}. It was measured beforehand; your picture plays no part in it."
    )


def accuracy(defences: tuple[Defence, ...]) -> float | None:
    """What a federation with this shield reaches; None where that was not measured, or nothing was learned."""
    from lab.duel.prices import price_of

    if len(defences) > 1:
        return None
    price = price_of(*defences or (None,))
    return None if price is None else price.accuracy


def _place(defence: Defence) -> int:
    strengths = type(defence).strengths()
    if defence in strengths:
        return strengths.index(defence) + 1
    first, last, present = (getattr(each, defence.dial) for each in (strengths[0], strengths[-1], defence))
    weaker = [each for each in strengths if (getattr(each, defence.dial) <= present) == (first <= last)]
    return max(1, len(weaker))


def dial(defence: Defence) -> str:
    """Such as "strength 0.9"."""
    return f"{defence.dial.replace('_', ' ')} {getattr(defence, defence.dial):g}"


def _told(defence: Defence | None, *needs: str) -> dict[str, list[str]]:
    """Its price and what it needs, and apart from them, since they are long, its promises."""
    from lab.duel.prices import price_of

    price = price_of(defence)
    return {"told": [_priced(price), *needs], "promised": [*map(_promised, price.promises if price else ())]}


def _priced(price: Price | None) -> str:
    """Accuracy before and after, and how many federations say so."""
    from lab.duel.prices import price_of
    from lab.options.words import percent

    free = price_of(None)
    if price is None or free is None or free.accuracy is None:
        return NOT_PRICED
    if price.accuracy is None:
        return DIVERGED
    if price.defence is None:
        return f"Accuracy without a shield: {percent(price.accuracy)}."
    count = len(price.accuracies) + price.diverged
    trainings = "1 training" if count == 1 else f"{count} trainings"
    lost = f", {price.diverged} of them diverged" if price.diverged else ""
    return f"Accuracy {percent(free.accuracy)} → {percent(price.accuracy)} ({trainings}{lost})."


def _promised(promise: StoredGuarantee) -> str:
    """Epsilon, and what it means."""
    from lab.client.accountant import interpretation
    from lab.options.words import rounded

    whose = f"Each {promise.whose}, if the server sees {promise.seen}"
    if promise.epsilon is None:
        return f"{whose}: nothing is promised, for there is no noise."
    meant = interpretation(promise.epsilon, promise.delta)
    return f"{whose}: epsilon {rounded(promise.epsilon, 2)} at delta {promise.delta:g}. {meant}"


def _needs(defence: Defence, batch_size: int) -> list[str]:
    least = defence.least_inputs
    return [f"It does nothing to fewer than {least} in the batch."] if batch_size < least else []
