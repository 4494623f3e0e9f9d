"""Optimisers that move the candidate, one a file."""
