"""Ways to fine-tune: what of a network a client trains, one a file."""
