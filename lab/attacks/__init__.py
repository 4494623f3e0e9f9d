"""Attacks: from an observation to pictures, one a file."""
