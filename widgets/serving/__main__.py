"""``python -m widgets.serving``: the server of the page, as ``gradlab serve`` starts it."""

import typer

from widgets.serving.serve import serve

typer.run(serve)
