"""Distances between two updates, one a file."""
