"""Sentences from gradients: words that fit, beginnings that go on, and how often each sentence is there."""
