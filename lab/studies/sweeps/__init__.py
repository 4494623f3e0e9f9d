"""Many experiments: each measured once, kept as a small file, summed up in tables."""
