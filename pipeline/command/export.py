"""``metaclip-pipeline export``: a trained model in the format of another library."""

from pipeline.job import examples, new_app
from pipeline.train import open_clip

app = new_app("Writes a trained model in another library's format.")


@app.callback()
def about() -> None:
    """A group, though it has one command so far."""


app.command("open-clip", help=open_clip.HELP, epilog=examples(open_clip.EXAMPLE))(open_clip.main)
