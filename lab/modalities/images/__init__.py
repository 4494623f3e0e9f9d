"""Pictures: pixels in [0, 1]."""
