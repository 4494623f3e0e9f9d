"""The judge: the only room where truth meets reconstruction."""
