"""What an attack on graphs may list, count and assemble; known before anything is computed."""

MAX_TYPES = 100_000
"""Neighbourhoods of one depth that are looked at."""
TYPES_AT_ONCE = 8_192
"""Of those, how many at a time."""
MAX_KEPT_TYPES = 20_000
"""That may be left of them."""
MAX_TYPES_IN_ALL = 400_000
"""Of all depths in all attempts."""
MAX_COUNTED_TYPES = 12_000
"""Of those that were left, how many are counted against all others in all attempts."""
MAX_INTEGER_PROGRAMMES = 16
"""Of whole numbers, in all attempts; each may take seconds."""
MAX_ASSEMBLED = 100
"""Counts of neighbourhoods for which graphs are assembled, in all attempts."""
STARTS, ROUNDS, STEPS = 40, 12, 30
"""Places from which inputs of a layer are sought at once, how often, and steps of each."""
MAX_GRAPHS = 12_000
"""Small graphs that are all tried."""
