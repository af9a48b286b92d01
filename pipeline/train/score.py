"""``python -m pipeline.train.score``: the similarity of image and text of every sample, as a column by key.

One Parquet file a tar (``key``, ``score``), written when it is whole, so that a run that stopped goes on with the tars
that are missing. DataComp's CLIP-score filter (Gadre et al. 2023, section 5.2) is a bound on such a column.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import numpy as np
import pyarrow as pa
import typer
from rich.progress import Progress

from pipeline.job import PLACES, examples, new_app, run
from pipeline.paths import shown
from pipeline.progress import console, say
from pipeline.train.columns import begin_columns, check_columns, is_done, model_fingerprint, write_columns_of
from pipeline.train.evaluate import DeviceOption, ModelOption

SCHEMA = pa.schema([("key", pa.string()), ("score", pa.float32())])
if TYPE_CHECKING:
    from pipeline.train.distributed import ProcessGroup
    from pipeline.train.encoder import Encoder
    from pipeline.train.reading import Samples
    from pipeline.train.shards import ShardSet

app = new_app()
ShardsOption = Annotated[
    list[str],
    typer.Option(
        metavar="PATH", help="A tar, a folder of tars, a pattern or a URL (again for more).", rich_help_panel=PLACES
    ),
]
ColumnsOption = Annotated[
    Path,
    typer.Option(metavar="FOLDER", help="The folder of the columns, a Parquet file a tar.", rich_help_panel=PLACES),
]


@app.command(
    help="The similarity of image and text of every sample, as a column by key: DataComp's CLIP-score filter is a "
    "bound on it. A run that stopped goes on with the tars that are missing.",
    epilog=examples("metaclip-pipeline score --model run/model --shards shards/ --output scores"),
)
def main(model: ModelOption, shards: ShardsOption, output: ColumnsOption, device: DeviceOption = None) -> None:
    """Scores."""
    from pipeline.train.distributed import processes
    from pipeline.train.encoder import Encoder

    made_by = {"command": "score", "model": model_fingerprint(model)}
    folder = check_columns(output, shards, made_by)
    with processes() as group:
        encoder = Encoder(model, device or group.device)

        def similarity(samples: Samples) -> dict[str, np.ndarray]:
            ids, mask = (tensor[samples.readable] for tensor in samples.tokens)
            return {"score": (encoder.encode_pixels(samples.pixels) * encoder.encode_tokens(ids, mask)).sum(1)}

        write_columns(shards, folder, made_by, SCHEMA, encoder, similarity, group, "Scoring")


def write_columns(
    paths: list[str],
    folder: Path,
    made_by: dict[str, Any],
    schema: pa.Schema,
    encoder: Encoder,
    of_samples: Callable[[Samples], dict],
    group: ProcessGroup,
    title: str,
) -> None:
    """Writes what ``of_samples`` says of the readable samples of each tar as a file beside their keys (``schema``).

    A sample that cannot be read is in the table with nulls. Tars whose table is there already are left alone, and the
    others shared among the processes.
    """
    from pipeline.train.reading import SampleDataset, chunks_of, in_workers
    from pipeline.train.shards import open_shard_set

    if group.is_main:
        begin_columns(folder, made_by)
    shards = open_shard_set(paths, folder / ".indexes", group)
    say_damaged(shards, group)
    tars = list(zip(shards.tars, shards.states, strict=True))
    # Rank 0 says what is missing: what another has written meanwhile does not count.
    todo = group.gather([shard for shard, tar in enumerate(tars) if not is_done(folder, *tar)])[0]
    own = todo[group.rank :: group.world_size]
    for shard in own:
        if not shards.counts[shard]:
            write_columns_of(folder, *tars[shard], schema.empty_table())
    items = [item for shard in own for item in chunks_of(shard, shards.counts[shard])]
    written, tables = Counter(), []
    with Progress(console=console, transient=True, disable=not group.is_main) as progress:
        task = progress.add_task(title, total=int(shards.counts[own].sum()))
        for samples in in_workers(SampleDataset(shards, encoder.inputs), items, group):
            tables.append(_with_nulls(samples, of_samples, schema, shown(shards.tars[samples.shard])))
            progress.advance(task, len(samples.keys))
            written["read"] += len(samples.readable)
            written["unreadable"] += len(samples.keys) - len(samples.readable)
            if samples.start + len(samples.keys) == shards.counts[samples.shard]:
                write_columns_of(folder, *tars[samples.shard], pa.concat_tables(tables))
                tables = []
    written = sum(group.gather(written), Counter())
    if group.is_main:
        say(
            f"{written['read']:,} samples of {len(todo)} tar(s), {written['unreadable']:,} unreadable; "
            f"{len(shards.tars) - len(todo)} tar(s) were done: {folder}"
        )


def say_damaged(shards: ShardSet, group: ProcessGroup) -> None:
    """Says which of the tars are damaged; their whole samples are read as any."""
    if group.is_main:
        for line in shards.damaged():
            say(line)


def _with_nulls(samples: Samples, of_samples: Callable[[Samples], dict], schema: pa.Schema, tar: str) -> pa.Table:
    """What is said of samples, in their order, with nulls for those that cannot be read."""
    from pipeline.train.encoder import finite

    said = of_samples(samples) if samples.readable else {name: pa.array([], pa.null()) for name in schema.names[1:]}
    for values in said.values():
        if isinstance(values, np.ndarray):
            finite(values, [f"{tar}: {samples.keys[row]}" for row in samples.readable])
    said = {name: as_array(values) for name, values in said.items()}
    places = dict(zip(samples.readable, range(len(samples.readable)), strict=True))
    rows = pa.array([places.get(row) for row in range(len(samples.keys))], pa.int64())
    columns = {name: said[name].take(rows).cast(schema.field(name).type) for name in schema.names[1:]}
    return pa.table({"key": samples.keys} | columns, schema)


def as_array(values: np.ndarray | pa.Array | list) -> pa.Array:
    """Values as a column: of a matrix its rows, as lists of one length."""
    if isinstance(values, np.ndarray) and values.ndim == 2:
        return pa.FixedSizeListArray.from_arrays(pa.array(values.ravel()), values.shape[1])
    return pa.array(values)


if __name__ == "__main__":
    run(app)
