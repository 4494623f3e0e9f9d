"""Where a network is derived twice: what of it torch derives but once is named."""

from __future__ import annotations

import re
from collections.abc import Generator
from contextlib import contextmanager

from lab.errors import LabError

NOT_TWICE_DIFFERENTIABLE = re.compile(r"derivative for '?(?:aten::)?_*(\w+?)(?:_backward)?'? is not implemented")


@contextmanager
def second_derivatives() -> Generator[None, None, None]:
    """Where they are taken. Raises ``LabError`` for a network that holds something else that torch derives but once."""
    try:
        yield
    except RuntimeError as error:
        found = NOT_TWICE_DIFFERENTIABLE.search(str(error))
        if found is None:
            raise
        raise LabError(
            f"Matching gradients needs second derivatives, and torch has none of {found[1]}, which the model computes with; "
            "write that step in other functions, or take an attack in closed form."
        ) from None
