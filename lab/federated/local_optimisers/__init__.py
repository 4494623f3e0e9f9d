"""Local optimisers: how a client's step follows from its gradient, one a file."""
