"""``python -m pipeline.train.score``: the similarity of image and text of every sample, as a column by key.

One Parquet file a tar (``key``, ``score``), written when it is whole, so that a run that stopped goes on with the tars
that are missing. DataComp's CLIP-score filter (Gadre et al. 2023, section 5.2) is a bound on such a column.
"""

from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import pyarrow as pa
import typer
from PIL import Image
from rich.progress import Progress

from pipeline.job import new_app, run
from pipeline.progress import console, say
from pipeline.train.columns import begin_columns, check_columns, is_done, model_fingerprint, write_columns_of
from pipeline.train.evaluate import DeviceOption, ModelOption

CHUNK = 1024
SCHEMA = pa.schema([("key", pa.string()), ("score", pa.float32())])
app = new_app()
ShardsOption = Annotated[list[str], typer.Option(help="A tar or a folder of tars (again for more).")]
ColumnsOption = Annotated[Path, typer.Option(help="The folder of the columns, a Parquet file a tar.")]


@app.command(help=__doc__)
def main(model: ModelOption, shards: ShardsOption, output: ColumnsOption, device: DeviceOption = None) -> None:
    """Scores."""
    from pipeline.train.encoder import Encoder

    made_by = {"command": "score", "model": model_fingerprint(model)}
    folder = check_columns(output, shards, made_by)
    encoder = Encoder(model, device)

    def similarity(images: list[Image.Image], texts: list[str]) -> dict[str, np.ndarray]:
        return {"score": (encoder.encode_images(images) * encoder.encode_texts(texts)).sum(1)}

    write_columns(shards, folder, made_by, similarity, SCHEMA, "Scoring")


def write_columns(
    paths: list[str],
    folder: Path,
    made_by: dict[str, Any],
    of_samples: Callable[[list[Image.Image], list[str]], dict],
    schema: pa.Schema,
    title: str,
) -> None:
    """Writes what ``of_samples`` says of the images and texts of each tar as a file beside their keys (``schema``).

    A sample that cannot be read is in the table with nulls. Tars whose table is there already are left alone.
    """
    from pipeline.train.images import decode
    from pipeline.train.loader import BROKEN
    from pipeline.train.shards import ShardSet

    begin_columns(folder, made_by)
    samples = ShardSet(paths, folder / ".indexes")
    todo = [n for n, tar in enumerate(samples.tars) if not is_done(folder, tar)]
    written = broken = 0
    with Progress(console=console, transient=True) as progress:
        task = progress.add_task(title, total=int(samples.counts[todo].sum()))
        for shard in todo:
            tables = [schema.empty_table()]
            for start in range(0, samples.counts[shard], CHUNK):
                keys, images, texts, bad = [], [], [], []
                for row in range(start, min(samples.counts[shard], start + CHUNK)):
                    key, content, text = samples.sample(shard, row)
                    try:
                        images.append(decode(content))
                        keys.append(key)
                        texts.append(text)
                    except BROKEN:
                        bad.append(key)
                if keys:
                    tables.append(pa.table({"key": keys} | of_samples(images, texts), schema))
                tables.append(pa.table({"key": pa.array(bad, pa.string())}))
                progress.advance(task, len(keys) + len(bad))
                written, broken = written + len(keys), broken + len(bad)
            write_columns_of(folder, samples.tars[shard], pa.concat_tables(tables, promote_options="default"))
    earlier = len(samples.tars) - len(todo)
    say(f"{written:,} samples of {len(todo)} tar(s), {broken:,} unreadable; {earlier} tar(s) were done: {folder}")


if __name__ == "__main__":
    run(app)
