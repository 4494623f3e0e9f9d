"""What is private: the client's batch, its data sets, its training and its defences."""
