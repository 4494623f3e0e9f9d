"""The lab on a server: the page for one person, or for many, through Voila."""
