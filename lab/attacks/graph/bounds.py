"""What an attack on graphs may list; known before anything is computed."""

MOST_TYPES = 60_000
"""Neighbourhoods of one depth."""
