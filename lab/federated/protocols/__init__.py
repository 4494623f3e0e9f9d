"""Protocols: what a client sends, one a file."""
