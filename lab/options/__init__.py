"""What a choice is: self-checking fields, the catalogue of entries, and both as JSON and as text."""
