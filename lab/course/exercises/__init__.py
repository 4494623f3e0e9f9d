"""The exercises of the lessons: a student's function is tried on hidden cases and answered by a sentence that teaches.

One exercise a file, called after the function that it asks for. No file holds a model solution: what is right
comes from how the case was made, or from the engine. ``check`` answers in a lesson, ``grade`` in a graded notebook.
"""

from lab.course.exercises.checking import check, grade
from lab.course.exercises.feedback import Feedback, NotYet

__all__ = ["Feedback", "NotYet", "check", "grade"]
