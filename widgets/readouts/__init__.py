"""What the views beside the picture show, as plain data."""
