"""Priors: what a natural picture looks like, one a file."""
