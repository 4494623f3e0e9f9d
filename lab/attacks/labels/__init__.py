"""Labels read off the last layer."""
