"""Graphs from gradients: neighbourhoods that fit, how many there are of each, and how they hang together."""
