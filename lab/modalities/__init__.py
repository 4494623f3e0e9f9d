"""What an input is, one folder each."""
