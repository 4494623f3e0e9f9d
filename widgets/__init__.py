"""The page of the lab: a session, its film and the views that show it.

Nothing here imports torch or the engine before the page stands: the session does so in the background.
"""

from widgets.pages.lab_page import Lab, LabPage
from widgets.pages.lesson import Lesson

__all__ = ["Lab", "LabPage", "Lesson"]
