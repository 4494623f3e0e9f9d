"""Every choice in one frozen object, and what runs it."""
