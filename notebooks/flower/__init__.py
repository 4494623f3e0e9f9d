"""A round of Flower, an app as its people wrote it, and what two clients sent in it: for the notebook beside this folder."""
