"""The course as teachers hand it out, built from the lessons: ``python -m notebooks.course --out DIR``.

``DIR/student`` holds the lessons without solutions, ``DIR/nbgrader`` a course for nbgrader (source notebooks and
configuration), ``DIR/otter`` master notebooks for Otter Assign. Only the last two hold solutions.
"""
