"""``python -m pipeline.train.tag``: labels for images from a list of entries, the likeliest first."""

import json
from pathlib import Path
from typing import Annotated

import numpy as np
import typer

from pipeline.entries.lists import load_list
from pipeline.errors import UsageError
from pipeline.job import new_app, run
from pipeline.progress import say
from pipeline.train.evaluate import DeviceOption, ModelOption

app = new_app()


@app.command(help=__doc__)
def main(
    model: ModelOption,
    entries: Annotated[Path, typer.Option(help="An entry list: one a line, JSON, or Parquet.")],
    images: Annotated[list[Path], typer.Argument(help="Images, or folders of them.")],
    top: Annotated[int, typer.Option(min=1, help="So many labels an image.")] = 5,
    template: Annotated[str, typer.Option(help="The text of a label, {c} for the entry.")] = "{c}",
    output: Annotated[Path | None, typer.Option(help="A JSON-lines file; the terminal by default.")] = None,
    device: DeviceOption = None,
) -> None:
    """Tags."""
    from pipeline.tars.index import IMAGE_ENDINGS
    from pipeline.train.encoder import Encoder
    from pipeline.train.images import decode
    from pipeline.train.loader import BROKEN
    from pipeline.train.outputs import check_file, write_file

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
    encoder = Encoder(model, device)
    vectors = encoder.encode_texts([template.replace("{c}", label) for label in labels])
    lines = []
    for file in files:
        try:
            image = decode(file.read_bytes())
        except BROKEN as error:
            raise UsageError(f"{file}: not an image that can be read: {error}") from None
        similar = (encoder.encode_images([image]) @ vectors.T)[0]
        best = np.argsort(-similar, kind="stable")[:top]
        lines.append({"image": str(file), "labels": {labels[i]: round(float(similar[i]), 4) for i in best}})
    if output is None:
        for line in lines:
            say(f"{line['image']}: " + ", ".join(f"{label} {value:.2f}" for label, value in line["labels"].items()))
    else:
        write_file(output, "".join(json.dumps(line, ensure_ascii=False) + "\n" for line in lines))
        say(f"Written: {output}")


if __name__ == "__main__":
    run(app)
