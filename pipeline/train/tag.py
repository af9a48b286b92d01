"""``python -m pipeline.train.tag``: labels for images from a list of entries, the likeliest first."""

import json
import tempfile
from itertools import zip_longest
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import typer

from pipeline.entries.lists import load_list
from pipeline.errors import UsageError
from pipeline.job import PLACES, examples, new_app, run
from pipeline.paths import is_url, shown
from pipeline.progress import say
from pipeline.train.evaluate import DeviceOption, ModelOption
from pipeline.train.given import TARS
from pipeline.train.outputs import check_file, write_file

app = new_app()


@app.command(
    help="Labels for images from a list of entries, the likeliest first.",
    epilog=examples(
        "metaclip-pipeline tag --model run/model --entries my.txt photos/",
        "metaclip-pipeline tag --model run/model --entries my.txt 'set/{000..127}.tar'",
    ),
)
def main(
    model: ModelOption,
    entries: Annotated[Path, typer.Option(help="An entry list: one a line, JSON, or Parquet.", rich_help_panel=PLACES)],
    images: Annotated[list[str], typer.Argument(help="Images, or folders of them; or shards: tars, patterns, URLs.")],
    top: Annotated[int, typer.Option(min=1, help="So many labels an image.")] = 5,
    template: Annotated[str, typer.Option(help="The text of a label, {c} for the entry.")] = "{c}",
    output: Annotated[
        Path | None, typer.Option(help="A JSON-lines file; the terminal by default.", rich_help_panel=PLACES)
    ] = None,
    device: DeviceOption = None,
) -> None:
    """Tags."""
    from pipeline.train.distributed import processes
    from pipeline.train.encoder import Encoder, finite

    images = list(map(str, images))
    tars = [path for path in images if _are_shards(path)]
    if tars and len(tars) < len(images):
        other = next(path for path in images if path not in tars)
        raise UsageError(f"{other}: found beside shards; give images or shards")
    files = [] if tars else _files(images)
    if output is not None:
        check_file("--output", output, [*files, *tars, entries], lambda head: head.startswith(b'{"image":'))
    labels = load_list("entries", entries).entries.to_pylist()
    parts, unreadable = [], 0
    with processes() as group:
        encoder = Encoder(model, device or group.device)
        vectors = encoder.encode_texts([template.replace("{c}", label) for label in labels])
        for names, pixels, missing in _of_shards(tars, encoder, group) if tars else _of_files(files, encoder, group):
            unreadable += missing
            similar = np.empty((0, len(labels)))
            if pixels is not None:
                similar = finite(encoder.encode_pixels(pixels), [name["image"] for name in names]) @ vectors.T
            lines = []
            for name, values in zip(names, similar, strict=True):
                best = np.argsort(-values, kind="stable")[:top]
                lines.append(name | {"labels": {labels[i]: round(float(values[i]), 4) for i in best}})
            parts.append(lines)
        shares = group.gather((parts, unreadable))
    if not group.is_main:
        return
    # The processes took parts in turn.
    in_turn = zip_longest(*(parts for parts, _ in shares), fillvalue=[])
    lines = [line for parts in in_turn for part in parts for line in part]
    if output is None:
        for line in lines:
            say(f"{line['image']}: " + ", ".join(f"{label} {value:.2f}" for label, value in line["labels"].items()))
    else:
        write_file(output, "".join(json.dumps(line, ensure_ascii=False) + "\n" for line in lines))
        say(f"Written: {output}")
    if unreadable := sum(missing for _, missing in shares):
        say(f"{unreadable:,} images unreadable, which are left out")


def _are_shards(path: str) -> bool:
    """Whether a path is of tars: by its name, or as a folder in which some lie."""
    folder = Path(path)
    return (
        is_url(path)
        or path.endswith((*TARS, "}"))
        or (folder.is_dir() and any(file.name.endswith(TARS) for file in folder.iterdir()))
    )


def _files(images: list[str]) -> list[Path]:
    """The image files of paths and folders."""
    from pipeline.tars.index import IMAGE_ENDINGS

    files = [
        file
        for path in map(Path, images)
        for file in (sorted(path.rglob("*")) if path.is_dir() else [path])
        if not path.is_dir() or file.suffix.lower().lstrip(".") in IMAGE_ENDINGS
    ]
    if not files:
        raise UsageError(f"{images[0]}: no images; allowed: {', '.join(IMAGE_ENDINGS)}, or shards: {', '.join(TARS)}")
    return files


def _of_files(files: list[Path], encoder, group) -> Any:
    """This process's share of some files in parts: names, pixels, and that none is missing."""
    from pipeline.train.reading import CHUNK, FileDataset, in_workers

    parts = [files[start : start + CHUNK] for start in range(0, len(files), CHUNK)][group.rank :: group.world_size]
    for part, (readable, pixels) in zip(parts, in_workers(FileDataset(encoder.inputs), parts, group), strict=True):
        if len(readable) < len(part):
            file = next(file for place, file in enumerate(part) if place not in readable)
            raise UsageError(f"{file}: not an image that can be read")
        yield [{"image": str(file)} for file in part], pixels, 0


def _of_shards(tars: list[str], encoder, group) -> Any:
    """This process's share of the samples of shards in parts: names, pixels, and how many cannot be read."""
    from pipeline.train.reading import SampleDataset, chunks_of, in_workers
    from pipeline.train.score import say_damaged
    from pipeline.train.shards import open_shard_set

    with tempfile.TemporaryDirectory() as cache:
        shards = open_shard_set(tars, Path(group.from_main(lambda: cache)), group)
        say_damaged(shards, group)
        parts = [part for shard, count in enumerate(shards.counts) for part in chunks_of(shard, count)]
        for samples in in_workers(SampleDataset(shards, encoder.inputs), parts[group.rank :: group.world_size], group):
            tar = shown(shards.tars[samples.shard])
            names = [{"image": samples.keys[row], "shard": tar} for row in samples.readable]
            yield names, samples.pixels, len(samples.keys) - len(samples.readable)
        group.gather(None)  # The indexes are in the first one's folder.


if __name__ == "__main__":
    run(app)
