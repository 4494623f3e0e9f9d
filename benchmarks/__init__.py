"""What the lab costs and how fast it is, measured as a user would use it: ``python -m benchmarks --help``."""
