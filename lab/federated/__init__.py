"""What client and server both know: networks, protocols, updates and the observation."""
