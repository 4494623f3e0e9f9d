"""Defences: what a client may do to its update before it leaves, one a file."""
