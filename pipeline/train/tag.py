"""``python -m pipeline.train.tag``: labels for images from a list of entries, the likeliest first."""

import json
from itertools import zip_longest
from pathlib import Path
from typing import Annotated

import numpy as np
import typer

from pipeline.entries.lists import load_list
from pipeline.errors import UsageError
from pipeline.job import PLACES, examples, new_app, run
from pipeline.progress import say
from pipeline.train.evaluate import DeviceOption, ModelOption

app = new_app()


@app.command(
    help="Labels for images from a list of entries, the likeliest first.",
    epilog=examples("metaclip-pipeline tag --model run/model --entries my.txt photos/"),
)
def main(
    model: ModelOption,
    entries: Annotated[Path, typer.Option(help="An entry list: one a line, JSON, or Parquet.", rich_help_panel=PLACES)],
    images: Annotated[list[Path], typer.Argument(help="Images, or folders of them.")],
    top: Annotated[int, typer.Option(min=1, help="So many labels an image.")] = 5,
    template: Annotated[str, typer.Option(help="The text of a label, {c} for the entry.")] = "{c}",
    output: Annotated[
        Path | None, typer.Option(help="A JSON-lines file; the terminal by default.", rich_help_panel=PLACES)
    ] = None,
    device: DeviceOption = None,
) -> None:
    """Tags."""
    from pipeline.tars.index import IMAGE_ENDINGS
    from pipeline.train.distributed import processes
    from pipeline.train.encoder import Encoder, finite
    from pipeline.train.outputs import check_file, write_file
    from pipeline.train.reading import CHUNK, FileDataset, in_workers

    files = [
        file
        for path in images
        for file in (sorted(path.rglob("*")) if path.is_dir() else [path])
        if not path.is_dir() or file.suffix.lower().lstrip(".") in IMAGE_ENDINGS
    ]
    if not files:
        raise UsageError(f"{images[0]}: no images; allowed: {', '.join(IMAGE_ENDINGS)}")
    if output is not None:
        check_file("--output", output, [*files, entries], lambda head: head.startswith(b'{"image":'))
    labels = load_list("entries", entries).entries.to_pylist()
    lines = []
    with processes() as group:
        encoder = Encoder(model, device or group.device)
        vectors = encoder.encode_texts([template.replace("{c}", label) for label in labels])
        parts = [files[start : start + CHUNK] for start in range(0, len(files), CHUNK)][group.rank :: group.world_size]
        for part, (readable, pixels) in zip(parts, in_workers(FileDataset(encoder.inputs), parts, group), strict=True):
            if len(readable) < len(part):
                file = next(file for place, file in enumerate(part) if place not in readable)
                raise UsageError(f"{file}: not an image that can be read")
            similar = finite(encoder.encode_pixels(pixels), list(map(str, part))) @ vectors.T
            for file, values in zip(part, similar, strict=True):
                best = np.argsort(-values, kind="stable")[:top]
                lines.append({"image": str(file), "labels": {labels[i]: round(float(values[i]), 4) for i in best}})
        shares = group.gather([lines[start : start + CHUNK] for start in range(0, len(lines), CHUNK)])
    if not group.is_main:
        return
    # The processes took parts in turn.
    lines = [line for parts in zip_longest(*shares, fillvalue=[]) for part in parts for line in part]
    if output is None:
        for line in lines:
            say(f"{line['image']}: " + ", ".join(f"{label} {value:.2f}" for label, value in line["labels"].items()))
    else:
        write_file(output, "".join(json.dumps(line, ensure_ascii=False) + "\n" for line in lines))
        say(f"Written: {output}")


if __name__ == "__main__":
    run(app)
