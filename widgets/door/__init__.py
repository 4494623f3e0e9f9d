"""What enters from a browser, and in which words it is answered."""
