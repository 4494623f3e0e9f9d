"""One run behind a page: the session, its worker thread, its frames and its history."""
