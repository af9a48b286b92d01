"""``metaclip-pipeline export``: a trained model in the format of another library."""

from pipeline.job import new_app
from pipeline.train import open_clip

app = new_app("Writes a trained model in another library's format.")
app.registered_commands += open_clip.app.registered_commands


@app.callback()
def about() -> None:
    """With one command alone Typer would make no group."""
