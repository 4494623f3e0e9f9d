"""Findings: what an update is and what stands in the way, each thing that can be read off it in one file."""
