"""The views of the page: one Python class, one script and one style sheet each."""
