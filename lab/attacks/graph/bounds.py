"""What an attack on graphs may list; known before anything is computed."""

MOST_TYPES = 100_000
"""Neighbourhoods of one depth that are looked at."""
AT_ONCE = 8_192
"""Of those, how many at a time."""
MOST_KEPT = 20_000
"""That may be left of them."""
MOST_IN_ALL = 400_000
"""Of all depths in all attempts."""
MOST_GRAPHS = 12_000
"""Small graphs that are all tried."""
