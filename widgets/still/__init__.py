"""Figures that stay where no kernel answers."""
