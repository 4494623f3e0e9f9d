"""The derivative of the distance with respect to the input, exactly and at the floor of its cost."""
