"""The form: what a page offers, and what may come back from it."""
