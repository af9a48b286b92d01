"""``python -m pipeline.train.embed``: the vector of the image, or the text, of every sample, as a column by key.

One Parquet file a tar (``key``, ``vector``), as ``score`` writes them. The rule ``filter.semantic`` reads them.
"""

from __future__ import annotations

from enum import StrEnum
from typing import TYPE_CHECKING, Annotated

import typer

from pipeline.job import examples, new_app, run
from pipeline.train.columns import check_columns, model_fingerprint
from pipeline.train.evaluate import DeviceOption, ModelOption
from pipeline.train.score import ColumnsOption, ShardsOption, write_columns

if TYPE_CHECKING:
    import numpy as np

    from pipeline.train.reading import Samples

app = new_app()


class Of(StrEnum):
    """What of a sample is embedded."""

    images = "images"
    texts = "texts"


@app.command(
    help="The vector of the image (or text) of every sample, as a column by key, of length 1: filter.semantic of a "
    "recipe finds near-duplicates by them. A run that stopped goes on with the tars that are missing.",
    epilog=examples("metaclip-pipeline embed --model run/model --shards shards/ --output vectors"),
)
def main(
    model: ModelOption,
    shards: ShardsOption,
    output: ColumnsOption,
    of: Annotated[Of, typer.Option(help="What is embedded.")] = Of.images,
    device: DeviceOption = None,
) -> None:
    """Embeds."""
    import pyarrow as pa

    from pipeline.train.distributed import processes
    from pipeline.train.encoder import Encoder

    made_by = {"command": "embed", "model": model_fingerprint(model), "of": of.value}
    folder = check_columns(output, shards, made_by)
    with processes() as group:
        encoder = Encoder(model, device or group.device)

        def vectors(samples: Samples) -> dict[str, np.ndarray]:
            if of is Of.images:
                return {"vector": encoder.encode_pixels(samples.pixels)}
            ids, mask = (tensor[samples.readable] for tensor in samples.tokens)
            return {"vector": encoder.encode_tokens(ids, mask)}

        schema = pa.schema([("key", pa.string()), ("vector", pa.list_(pa.float32()))])
        write_columns(shards, folder, made_by, schema, encoder, vectors, group, "Embedding")


if __name__ == "__main__":
    run(app)
