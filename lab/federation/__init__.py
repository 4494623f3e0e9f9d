"""A whole federated training: clients with unlike shares of a data set, rounds, defences, and what the server sees of it."""
