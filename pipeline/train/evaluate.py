"""``python -m pipeline.train.evaluate``: what a model learned, by retrieval and zero-shot classification."""

import json
import shutil
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.progress import Progress
from rich.table import Table

from pipeline.errors import UsageError
from pipeline.job import HOW, PLACES, examples, new_app, run
from pipeline.progress import console, results, say

ModelOption = Annotated[
    Path,
    typer.Option(
        metavar="FOLDER",
        help="The folder of an exported model, or of any CLIP checkpoint.",
        rich_help_panel=PLACES,
    ),
]
DeviceOption = Annotated[
    str | None, typer.Option(help="cpu or cuda; a GPU where there is one by default.", rich_help_panel=HOW)
]
app = new_app()


@app.command(
    help="What a model learned: retrieval on shards, and zero-shot classification on data sets of labelled images.",
    epilog=examples(
        "metaclip-pipeline evaluate --model run/model --shards shards/",
        "metaclip-pipeline evaluate --model run/model --classification imagenet/",
    ),
)
def main(
    model: ModelOption,
    shards: Annotated[
        list[str] | None,
        typer.Option(
            metavar="PATH",
            help="Retrieval: a tar, a folder of tars, a pattern or a URL (again for more).",
            rich_help_panel=PLACES,
        ),
    ] = None,
    classification: Annotated[
        list[Path] | None,
        typer.Option(metavar="FOLDER", help="Zero-shot: a data set's folder (again for more).", rich_help_panel=PLACES),
    ] = None,
    output: Annotated[
        Path | None,
        typer.Option(help="The JSON file; evaluation.json beside the model by default.", rich_help_panel=PLACES),
    ] = None,
    device: DeviceOption = None,
) -> None:
    """Evaluates."""
    from pipeline.train.classification import dataset_names
    from pipeline.train.distributed import processes
    from pipeline.train.encoder import Encoder
    from pipeline.train.outputs import check_file, write_file

    if not shards and not classification:
        raise UsageError("--shards, --classification: give at least one of them")
    file = output or model.parent / "evaluation.json"
    check_file("--output", file, [model, *(shards or [])], lambda head: head.lstrip().startswith(b'{\n  "model":'))
    vectors = file.with_name(f".{file.name}.vectors")
    with processes() as group:
        encoder = Encoder(model, device or group.device)
        found: dict[str, Any] = {"model": str(model)}
        if shards:
            found["retrieval"] = _retrieve(encoder, shards, vectors, group)
        if classification:
            names = dataset_names(classification)
            sets = zip(names, classification, strict=True)
            found["classification"] = {name: _classify(encoder, name, folder, group) for name, folder in sets}
        group.gather(None)  # The others may still read what goes now.
        if group.is_main:
            write_file(file, json.dumps(found, indent=2, ensure_ascii=False) + "\n")
            shutil.rmtree(vectors, ignore_errors=True)
            say(f"Written: {file}")


def _retrieve(encoder, shards: list[str], vectors: Path, group) -> dict[str, Any] | None:
    from pipeline.train.embedding import embed_shards
    from pipeline.train.retrieval import RECALL_AT, pairs_of, retrieval
    from pipeline.train.score import say_damaged
    from pipeline.train.shards import open_shard_set

    with _progress(group) as progress:
        samples = open_shard_set(shards, vectors / ".indexes", group)
        say_damaged(samples, group)
        task = progress.add_task("Reading images and texts", total=int(samples.counts.sum()))
        embedded = embed_shards(
            encoder, samples, vectors, group, lambda done: progress.advance(task, done), with_texts=True
        )
    if not group.is_main:
        return None
    pairs = pairs_of(embedded, samples)
    found = retrieval(pairs)
    if pairs.unreadable:
        left_out = len(pairs.unreadable)
        say(f"{left_out:,} samples are left out: their images cannot be read, the first is {pairs.unreadable[0]}")
    table = Table(title="retrieval: recall in %, and recall@1 over chance", header_style="bold", padding=(0, 0, 0, 1))
    table.add_column("")
    headings = [f"{way}@{k}" for way in ("t→i", "i→t") for k in RECALL_AT]
    for heading in ("images", "texts", *headings, "×chance"):
        table.add_column(heading, justify="right", no_wrap=True)
    for name, line in found.items():
        ways = [line["text_to_image"], line["image_to_text"]]
        over = ", ".join(f"{way['recall@1']['value'] / way['chance']:.0f}" for way in ways)
        values = [f"{100 * way[f'recall@{k}']['value']:.1f}" for way in ways for k in RECALL_AT]
        table.add_row(name, f"{line['images']:,}", f"{line['texts']:,}", *values, over)
    results.print(table)
    return found


def _classify(encoder, name: str, folder: Path, group) -> dict[str, Any] | None:
    from pipeline.train.classification import classify, open_dataset

    with _progress(group) as progress:
        task = progress.add_task(f"Classifying {name}", total=None)
        found = classify(encoder, open_dataset(folder), group, lambda done: progress.advance(task, done))
    if not group.is_main:
        return None
    top = found["top_1"]
    say(
        f"{name}: top-1 {top['value']:.1%} ({top['low']:.1%} to {top['high']:.1%}), "
        f"top-5 {found['top_5']['value']:.1%}, mean class recall {found['mean_class_recall']:.1%}, "
        f"chance {found['chance']:.1%}, {found['images']:,} images of {found['classes']:,} classes, "
        f"{found['unreadable']:,} unreadable"
        + (f", the first is {found['unreadable_samples'][0]}" if found["unreadable"] else "")
    )
    return found


def _progress(group) -> Progress:
    return Progress(console=console, transient=True, disable=not group.is_main)


if __name__ == "__main__":
    run(app)
