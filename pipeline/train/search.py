"""``python -m pipeline.train.search``: the images of a shard set that are nearest to a text or to an image.

``index`` embeds the set once (usearch, cosine); ``query`` writes a page of thumbnails that stands by itself.
"""

import base64
import html
import io
import json
import shutil
from pathlib import Path
from typing import Annotated

import numpy as np
import typer
from PIL import Image
from rich.progress import Progress

from pipeline.errors import UsageError
from pipeline.job import PLACES, examples, new_app, run
from pipeline.paths import is_url, shown
from pipeline.progress import console, say
from pipeline.train.evaluate import DeviceOption, ModelOption
from pipeline.train.score import ShardsOption, say_damaged

THUMBNAIL, VECTORS = 160, ".vectors"
IndexOption = Annotated[Path, typer.Option(help="The folder of the index.", rich_help_panel=PLACES)]
PAGE = """<!doctype html><html lang="en"><meta charset="utf-8"><title>{title}</title>
<style>body{{font:15px/1.4 system-ui,sans-serif;margin:2rem;background:#fafafa;color:#222}}h1{{font-size:1.2rem}}
ul{{display:grid;grid-template-columns:repeat(auto-fill,minmax(180px,1fr));gap:1rem;list-style:none;padding:0}}
li{{background:#fff;border:1px solid #ddd;border-radius:6px;padding:10px}}
img{{width:160px;height:160px;object-fit:contain;display:block;margin:0 auto 6px}}small{{color:#666}}</style>
<h1>{title}</h1>{asked}<ul>{found}</ul></html>
"""
PAGE_HEAD = (PAGE.partition("{title}")[0] + "Nearest to ").encode()
app = new_app("Finds the images of a shard set that are nearest to a text or to an image.")


@app.command("index", epilog=examples("metaclip-pipeline search index --model run/model --shards shards/ --index i"))
def index(model: ModelOption, shards: ShardsOption, index: IndexOption, device: DeviceOption = None) -> None:
    """Embeds the images of a shard set into an index."""
    from pipeline.train.distributed import processes
    from pipeline.train.embedding import embed_shards
    from pipeline.train.encoder import Encoder
    from pipeline.train.given import find_tars
    from pipeline.train.outputs import check_folder
    from pipeline.train.shards import open_shard_set

    inputs = [model, *shards, *(tar for path in shards for tar in find_tars(path))]
    check_folder("--index", index, inputs, "index.json", "images.usearch")
    with processes() as group, Progress(console=console, transient=True, disable=not group.is_main) as progress:
        encoder, samples = Encoder(model, device or group.device), open_shard_set(shards, index / ".indexes", group)
        say_damaged(samples, group)
        task = progress.add_task("Embedding", total=int(samples.counts.sum()))
        vectors = embed_shards(
            encoder, samples, index / VECTORS, group, lambda done: progress.advance(task, done), with_texts=False
        )
        if group.is_main:
            _write_index(
                vectors,
                index,
                {"model": str(model.resolve()), "tars": _resolved(samples.tars), "states": samples.states},
            )
        else:
            next(vectors)  # It makes this process's share.


def _write_index(vectors, folder: Path, facts: dict) -> None:
    """Puts the distinct images into an index; what was embedded on the way goes."""
    from usearch.index import Index

    from pipeline.train.outputs import write_file

    made, located, seen, broken = None, [], set(), []
    for found in vectors:
        broken += [f"{shown(facts['tars'][found.shard])}: {key}" for key in found.keys[~found.readable]]
        digests = [digest.tobytes() for digest in found.digests[found.rows]]
        fresh = [place for place, digest in enumerate(digests) if digest not in seen]
        if not fresh:
            continue
        seen.update(digests)
        start, images = sum(map(len, located)), found.images[fresh]
        made = made or Index(ndim=images.shape[1], metric="cos")
        made.add(np.arange(start, start + len(fresh)), images)
        located.append(np.stack([np.full(len(fresh), found.shard), found.rows[fresh]], 1))
    if made is None:
        raise UsageError("--shards: no image can be read")
    # What says where the images are goes first and comes last, so that it never is of other vectors.
    (folder / "index.json").unlink(missing_ok=True)
    made.save(str(folder / "images.usearch"))
    places = np.concatenate(located)
    np.save(folder / "places.npy", places)
    write_file(folder / "index.json", json.dumps(facts))
    shutil.rmtree(folder / VECTORS)
    first = f", the first is {broken[0]}" if broken else ""
    say(f"{len(places):,} images, {len(broken):,} unreadable{first}: {folder}")


def _resolved(tars: list[str]) -> list[str]:
    return [tar if is_url(tar) else str(Path(tar).resolve()) for tar in tars]


@app.command("query", epilog=examples("metaclip-pipeline search query --index i --text 'a red house'"))
def query(
    index: IndexOption,
    text: Annotated[str | None, typer.Option(help="What is looked for, in words.")] = None,
    image: Annotated[Path | None, typer.Option(help="What is looked for, as an image.")] = None,
    top: Annotated[int, typer.Option(min=1, help="So many results.")] = 24,
    output: Annotated[Path, typer.Option(help="The page.", rich_help_panel=PLACES)] = Path("search.html"),
    device: DeviceOption = None,
) -> None:
    """Writes a page of the nearest images."""
    from usearch.index import Index

    from pipeline.train.encoder import Encoder
    from pipeline.train.images import decode
    from pipeline.train.loader import BROKEN
    from pipeline.train.outputs import check_file, write_file
    from pipeline.train.shards import ShardSet

    if (text is None) == (image is None):
        raise UsageError("--text, --image: give one of them")
    if not (index / "index.json").is_file():
        raise UsageError(f"--index {index}: no index; make it with: metaclip-pipeline search index")
    asked_for = [] if image is None else [image]
    check_file("--output", output, [index / "index.json", *asked_for], lambda head: head.startswith(PAGE_HEAD))
    facts = json.loads((index / "index.json").read_text())
    encoder, samples = Encoder(facts["model"], device), ShardSet(facts["tars"], index / ".indexes")
    _check_same(index, facts, samples)
    asked = ""
    if text is not None:
        vector = encoder.encode_texts([text])[0]
    else:
        try:
            asked_image = decode(image.read_bytes())
        except BROKEN as error:
            raise UsageError(f"--image {image}: not an image that can be read: {error}") from None
        vector, asked = encoder.encode_images([asked_image])[0], f"<p>{_thumbnail(asked_image)}</p>"
    matches = Index.restore(str(index / "images.usearch")).search(vector, top)
    located, found, broken = np.load(index / "places.npy", mmap_mode="r"), [], []
    keys, distances = matches.keys.tolist(), matches.distances.tolist()
    for sample, distance in zip(samples.samples(located[keys].tolist()), distances, strict=True):
        try:
            small = _thumbnail(decode(sample.image))
        except BROKEN:  # It could be read when the index was made.
            broken.append(sample.key)
            continue
        found.append(f"<li>{small}{html.escape(sample.text)}<br><small>{1 - distance:.3f}</small></li>")
    title = html.escape(f"Nearest to “{text}”" if text is not None else f"Nearest to {image.name}")
    write_file(output, PAGE.format(title=title, asked=asked, found="\n".join(found)))
    say(f"Page: {output}" + (f", {len(broken):,} images unreadable, the first is {broken[0]}" if broken else ""))


def _check_same(index: Path, facts: dict, samples) -> None:
    """Refuses tars whose samples stand elsewhere than when the index was made."""
    for tar, now, then in zip(samples.tars, samples.states, facts.get("states", samples.states), strict=True):
        if now.split()[0] != then.split()[0]:
            raise UsageError(f"--index {index}: {shown(tar)} has changed since; make the index anew")


def _thumbnail(image: Image.Image) -> str:
    small, out = image.copy(), io.BytesIO()
    small.thumbnail((THUMBNAIL, THUMBNAIL))
    small.save(out, "WEBP", quality=80)
    return f'<img alt="" src="data:image/webp;base64,{base64.b64encode(out.getvalue()).decode()}">'


if __name__ == "__main__":
    run(app)
