"""Secure aggregation in numbers: one number of each update, in the clear, under its masks, and what is left in the sum."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from lab.federated.tensors import Gradients
from lab.federation.masking import UNIT, Masking, in_order, to_fixed_point

SHOWN = 6
"""Clients; of more the last lines suffice."""
ROW = "{who:<8}{number:>14}{whole:>18}{sent:>24}"


def report_masking(masking: Masking, sent: Mapping[int, Gradients]) -> Iterator[str]:
    """A table of the number that is largest in the sum, and a sentence on what the server is left with."""
    like = next(iter(sent.values()))
    whole = {client: to_fixed_point(update, len(masking.clients)) for client, update in sent.items()}
    masked = {client: masking.add_masks(client, update) for client, update in sent.items()}
    total = masking.remove_masks(masked, like)
    place = int(total.abs().argmax())
    yield (
        f"Secure aggregation of round {masking.number}, number {place} of {len(total)} of each update, in units of 2^-32, "
        "modulo 2^64:"
    )
    yield ROW.format(who="client", number="in the clear", whole="whole", sent="masked, as sent")
    for client in list(sent)[:SHOWN]:
        number = float(in_order(sent[client])[place])
        yield ROW.format(who=client, number=f"{number:+.6f}", whole=int(whole[client][place]), sent=int(masked[client][place]))
    left, clear = int(total[place]), sum(int(one[place]) for one in whole.values())
    under_masks = sum(masked.values(), 0 * total)
    yield ROW.format(who="sum", number=f"{left / UNIT:+.6f}", whole=clear, sent=int(under_masks[place]))
    gone = sorted(set(masking.clients) - set(sent))
    lost = f"; {_spoken(gone)} dropped out, whose pairs' seeds the others gave away, too" if gone else ""
    yield (
        f"The masks of pairs cancel; with the {len(sent)} own masks taken off, the sum under masks is {left}, in the clear "
        f"{clear}{lost}. At least {masking.threshold} of {len(masking.clients)} have to answer."
    )


def _spoken(clients: list[int]) -> str:
    return f"client{'s' if len(clients) > 1 else ''} {', '.join(map(str, clients))}"
