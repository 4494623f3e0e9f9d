"""The run as the browser holds and replays it."""
