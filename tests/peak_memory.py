"""How much memory an action needs, counted by torch's own blocks instead of by the machine."""

import torch
from torch.multiprocessing.reductions import StorageWeakRef
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves


class Living(TorchDispatchMode):
    """Bytes of the blocks that came into being inside and still live: ``now``, and the most that there were, ``peak``."""

    def __init__(self):
        super().__init__()
        self.blocks, self.peak, self.counted = {}, 0, 0

    def __torch_dispatch__(self, function, types, args=(), kwargs=None):
        given = {leaf.untyped_storage().data_ptr() for leaf in _tensors((args, kwargs))}
        result = function(*args, **(kwargs or {}))
        for leaf in _tensors(result):
            block = leaf.untyped_storage()
            place = block.data_ptr()
            if place not in given:
                self.counted += block.nbytes() - self.blocks.get(place, (None, 0))[1]
                self.blocks[place] = StorageWeakRef(block), block.nbytes()
        if self.counted > self.peak:  # blocks that are gone are counted until then: looking for them takes longer than the rest
            self.peak = max(self.peak, self.now)
        return result

    @property
    def now(self):
        self.blocks = {place: known for place, known in self.blocks.items() if not known[0].expired()}
        self.counted = sum(size for _, size in self.blocks.values())
        return self.counted


def _tensors(tree):
    return [leaf for leaf in tree_leaves(tree) if isinstance(leaf, torch.Tensor)]


def size_of(network):
    """Bytes of the weights."""
    return sum(tensor.numel() * tensor.element_size() for tensor in network.parameters())
