"""``metaclip-pipeline export``: a checkpoint as a model, and a trained model in the format of another library."""

from pipeline.job import new_app
from pipeline.train import export, open_clip

app = new_app("Writes a checkpoint as a model, or a trained model in another library's format.")
app.registered_commands += export.app.registered_commands + open_clip.app.registered_commands
