"""The guided story of the page: one scene a file, in the order of their places."""
