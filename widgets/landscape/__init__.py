"""The landscape of the paper at a glance: whole attacks over two choices of the form, a picture and a verdict a cell."""
