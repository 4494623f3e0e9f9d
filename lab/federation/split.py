"""Who has which pictures: a Dirichlet split, class by class (Hsu et al. 2019)."""

from __future__ import annotations

from lab.lazy import Tensor, np, torch

from lab.errors import LabError
from lab.federated.tensors import Labels


def dirichlet_split(labels: Labels, clients: int, concentration: float, generator: torch.Generator) -> list[Tensor]:
    """The numbers of each client's pictures: every picture has one client.

    Each class is shared out by p ~ Dir(concentration, ..., concentration). Raises ``LabError`` where a client gets none.
    """
    drawn = np.random.default_rng(int(torch.randint(2**31, (), generator=generator)))
    shares: list[list[Tensor]] = [[] for _ in range(clients)]
    for label in labels.unique():
        own = torch.nonzero(labels == label)[:, 0]
        own = own[torch.randperm(len(own), generator=generator)]
        ends = torch.from_numpy(drawn.dirichlet([concentration] * clients).cumsum()[:-1] * len(own)).long()
        for share, part in zip(shares, torch.tensor_split(own, ends), strict=True):
            share.append(part)
    owned = [torch.cat(share) for share in shares]
    empty = next((client for client, own in enumerate(owned) if len(own) == 0), None)
    if empty is not None:
        raise LabError(
            f"The split leaves client {empty} of {clients} without a picture; take a larger concentration than "
            f"{concentration:g}, fewer clients or another seed."
        )
    return owned
