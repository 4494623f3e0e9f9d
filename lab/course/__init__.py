"""What lessons stand on: exercises that check themselves, and an attempt in one call."""
