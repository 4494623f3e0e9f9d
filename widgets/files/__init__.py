"""Runs, pictures and replays as files."""
