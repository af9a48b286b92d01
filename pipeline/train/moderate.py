"""``python -m pipeline.train.moderate``: how much an image is like unwanted concepts, as columns by key.

Each image is classified among the unwanted concepts and neutral ones; ``unwanted`` is the probability of all unwanted
ones together and ``concept`` the likeliest of them. A first sieve, as good as the model is; look before you filter.
"""

from pathlib import Path
from typing import Annotated

import numpy as np
import pyarrow as pa
import typer

from pipeline.entries.lists import load_list
from pipeline.errors import UsageError
from pipeline.job import PLACES, examples, new_app, run
from pipeline.train.columns import check_columns, model_fingerprint
from pipeline.train.evaluate import DeviceOption, ModelOption
from pipeline.train.score import ColumnsOption, ShardsOption, write_columns

NEUTRAL = [
    "a photo",
    "a picture of a person",
    "a picture of an animal",
    "a picture of a thing",
    "a landscape",
    "a text",
]
SCHEMA = pa.schema([("key", pa.string()), ("unwanted", pa.float32()), ("concept", pa.string())])
app = new_app()


@app.command(
    help="How much an image is like unwanted concepts, as columns by key: unwanted is the probability of all of them "
    "together, concept the likeliest. A first sieve, as good as the model is; look before you filter.",
    epilog=examples(
        "metaclip-pipeline moderate --model run/model --shards shards/ \\",
        "    --concepts unwanted.txt --output columns",
    ),
)
def main(
    model: ModelOption,
    shards: ShardsOption,
    concepts: Annotated[Path, typer.Option(help="Unwanted concepts, one a line.", rich_help_panel=PLACES)],
    output: ColumnsOption,
    neutral: Annotated[
        Path | None, typer.Option(help="Neutral concepts, one a line; a few by default.", rich_help_panel=PLACES)
    ] = None,
    device: DeviceOption = None,
) -> None:
    """Scores."""
    from pipeline.train.distributed import processes
    from pipeline.train.encoder import Encoder

    unwanted = load_list("concepts", concepts).entries.to_pylist()
    if not unwanted:
        raise UsageError(f"--concepts {concepts}: holds no concept")
    others = NEUTRAL if neutral is None else load_list("neutral", neutral).entries.to_pylist()
    made_by = {"command": "moderate", "model": model_fingerprint(model), "concepts": unwanted, "neutral": others}
    folder = check_columns(output, shards, made_by)
    with processes() as group:
        encoder = Encoder(model, device or group.device)
        vectors = encoder.encode_texts([*unwanted, *others])

        def classify(samples) -> dict:
            logits = encoder.scale * encoder.encode_pixels(samples.pixels) @ vectors.T
            shares = np.exp(logits - logits.max(1, keepdims=True))
            shares = (shares / shares.sum(1, keepdims=True))[:, : len(unwanted)]
            return {"unwanted": shares.sum(1), "concept": pa.array(unwanted).take(pa.array(shares.argmax(1)))}

        write_columns(shards, folder, made_by, SCHEMA, encoder, classify, group, "Looking")


if __name__ == "__main__":
    run(app)
