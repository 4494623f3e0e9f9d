"""Data sets: where the private pictures come from, one a file."""
