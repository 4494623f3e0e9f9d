"""The pages: the lab and the lesson, put together from views."""
