"""``python -m widgets.serving``: the server of the page, as ``gradlab serve`` starts it."""

import typer

from widgets.serving.serve import serve

app = typer.Typer(add_completion=False, pretty_exceptions_enable=False)
app.command()(serve)
app()
