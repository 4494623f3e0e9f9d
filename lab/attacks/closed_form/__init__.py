"""Peeling a network from its gradient: from each layer's output down to its input, by algebra (R-GAP's family)."""
