"""Networks that a client may train, one a file."""
