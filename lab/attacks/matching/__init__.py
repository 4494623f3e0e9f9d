"""Gradient matching: the search, and the distances, priors and optimisers that it is made of."""
