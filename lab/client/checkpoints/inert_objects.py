"""Stand-ins for whatever a PyTorch file holds beside tensors, so that nothing a file names is ever imported or called.

PyTorch's safe reader stops at the first object that it does not know, though a NumPy number for the accuracy or the
settings of a training are in most people's files. Here each such name is bound to a class that takes everything and does
nothing. Of NumPy's arrays the bytes are kept, so that they can be tensors.
"""

from __future__ import annotations

import math
from collections import OrderedDict
from typing import Any

from lab.lazy import Tensor, np, torch


class OpaqueObject:
    """An object that is not looked into: it takes what the file says of it, and runs nothing."""

    def __init__(self, *_: Any) -> None:
        self.state: Any = None

    def __setstate__(self, state: Any) -> None:
        self.state = state

    @property
    def is_module(self) -> bool:
        """Whether this was a layer or a whole network."""
        return isinstance(self.state, dict) and "_modules" in self.state


class Dictionary(OpaqueObject):
    """A dictionary of a kind of its own, such as ``defaultdict``: PyTorch's reader fills none but plain ones."""

    def __new__(cls, *_: Any) -> Any:
        """A plain one."""
        return OrderedDict()


class NumberType(OpaqueObject):
    """A NumPy dtype: the code it is made by, such as "f4", and its byte order."""

    def __init__(self, code: Any = "", *_: Any) -> None:
        self.code, self.order = str(code), "="

    def __setstate__(self, state: Any) -> None:
        if isinstance(state, tuple) and len(state) > 1 and state[1] in ("<", ">"):
            self.order = state[1]


class Array(OpaqueObject):
    """A NumPy array: shape, type and bytes as they stand in the file."""

    def tensor(self) -> Tensor | None:
        """Its numbers; None where it holds anything else, or not as many bytes as its shape needs."""
        try:
            _, shape, kind, columns_first, data = self.state
            number = np.dtype(kind.code).newbyteorder(kind.order)
            if number.kind not in "biuf" or len(data) != number.itemsize * math.prod(shape):
                return None
            values = np.frombuffer(data, number).reshape(shape, order="F" if columns_first else "C")
            return torch.from_numpy(values.astype(number.newbyteorder("=")))
        except (TypeError, ValueError, AttributeError):
            return None


_NUMPY = {"dtype": NumberType, "ndarray": OpaqueObject, "multiarray._reconstruct": Array, "multiarray.scalar": OpaqueObject}
_HOMES = ("numpy", "numpy.core", "numpy._core")

NUMPYS_OWN = {f"{home}.{name}": kind for home in _HOMES for name, kind in _NUMPY.items()}
"""What NumPy's arrays, numbers and dtypes are called in pickles, of versions 1 and 2."""


def stand_in(name: str, otherwise: type[OpaqueObject] = OpaqueObject) -> type[OpaqueObject]:
    """The class that takes the place of what is called ``name`` in a file."""
    return NUMPYS_OWN.get(name, otherwise)
