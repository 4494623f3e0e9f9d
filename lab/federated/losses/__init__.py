"""Losses: what a client minimises, one a file."""
