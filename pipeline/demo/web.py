"""Builds a pool as the web is out of the demo's drawings: made, and declared as made.

The demo's own pool is clean and even: balancing changes little in it. Here most images show one of a few concepts,
under names that are nearly the same, most concepts have a few images, and a third of the texts say nothing of the
image: names of files, boilerplate of pages, names of other images, and names in other languages. Every image is another
view of its drawing: colour of the ground, size, place, turn. All is drawn by a hash of seed, concept and number.

``evaluation/`` holds views that are not in the pool, as many of each concept, for zero-shot classification by name, and
says of each concept whether it is of the head, the middle or the tail of the pool.
"""

import importlib.util
import io
import os
import shutil
import tarfile
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from dataclasses import asdict, dataclass
from functools import cache
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from PIL import Image
from rich.progress import Progress

from pipeline import storage
from pipeline.demo.pool import PACKAGES, VARIANT_MARKS, drawings, names_of
from pipeline.demo.web_texts import noise_text, text_of
from pipeline.errors import UsageError
from pipeline.progress import console

FOLDER = "output/web-pool"
URL_PREFIX = "https://web-pool.invalid/"
# What a recipe needs to find the images.
SETTINGS = (f"images.root={FOLDER}/images", f"images.prefix={URL_PREFIX}", "shards.samples=2000")
PIXELS = 224
DONE = "pool.json"
NOISE = 1 / 3  # of the pairs
SMALL, BANNER = 0.04, 0.03  # shares of the images that are icons, and much wider than high
GROUPS = ("head", "middle", "tail")


@dataclass(frozen=True)
class Shape:
    """Concepts of each group (of the tail all others where it says None), and images of each concept.

    ``views``: images of each concept in the evaluation set.
    """

    head: int = 16
    middle: int = 200
    tail: int | None = None
    head_images: int = 1_500
    middle_images: int = 30
    tail_images: int = 4
    views: int = 4

    def images(self, group: str) -> int:
        """Images of the pool that show a concept of a group."""
        return {"head": self.head_images, "middle": self.middle_images, "tail": self.tail_images}[group]


@dataclass(frozen=True)
class Concept:
    """A drawing with its names: the English ones first, then those of other languages."""

    code: str
    group: str
    names: tuple[str, ...]
    foreign: tuple[str, ...]


def build_web_pool(folder: Path, seed: int = 0, shape: Shape = Shape(), force: bool = False) -> dict[str, int]:
    """Builds ``pairs.parquet``, ``images/`` and ``evaluation/`` in ``folder``, and returns the counts.

    Does nothing where they are there already. ``UsageError`` where the demo's packages are not installed, or the folder
    holds anything else.
    """
    done = folder / DONE
    made_of = {"seed": seed, "shape": asdict(shape)}
    counts = storage.read_json(str(done)) if done.exists() else None
    if isinstance(counts, dict) and not force and made_of.items() <= counts.items():
        return counts
    if missing := [name for name in PACKAGES if importlib.util.find_spec(name) is None]:
        raise UsageError(f"the pool needs the package {missing[0]}: pip install 'metaclip-pipeline[demo]'")
    if folder.exists() and not done.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise UsageError(f"{folder}: holds what is not of such a pool; move it away")
    folder.mkdir(parents=True, exist_ok=True)
    done.write_text("{}\n")  # not finished, and ours: also where the following is killed
    for old in ("images", "evaluation"):
        shutil.rmtree(folder / old, ignore_errors=True)
    (folder / "images").mkdir()
    found = concepts(seed, shape)
    rows = list(pairs_of(found, seed, shape))
    table = pa.table(dict(zip(("url", "text", "made"), map(list, zip(*rows, strict=True)), strict=True)))
    pq.write_table(table, folder / "pairs.parquet")
    _render_all(found, seed, shape, folder)
    _write_evaluation(found, seed, shape.views, folder / "evaluation")
    noise = sum(row[2] != "name" for row in rows)
    counts = made_of | {"concepts": len(found), "pairs": table.num_rows, "noise": noise}
    counts |= {group: sum(concept.group == group for concept in found) for group in GROUPS}
    storage.write_json(str(done), counts)
    return counts


def concepts(seed: int, shape: Shape) -> list[Concept]:
    """The drawings with an English name, but for variants of sex and skin, in a random order: the head comes first."""
    found = []
    for code in sorted(drawings()):
        names = list(names_of(code))
        english = tuple(dict.fromkeys(name for language, name in names if language == "en"))
        if english and not VARIANT_MARKS & set(code.split("-")):
            foreign = tuple(name for language, name in names if language != "en" and name not in english)
            found.append((code, english, foreign))
    order = _rng(seed, "order").permutation(len(found))
    tail = len(found) - shape.head - shape.middle if shape.tail is None else shape.tail
    groups = ["head"] * shape.head + ["middle"] * shape.middle + ["tail"] * tail
    return [Concept(found[at][0], group, *found[at][1:]) for at, group in zip(order, groups, strict=False)]


def pairs_of(found: list[Concept], seed: int, shape: Shape) -> Iterator[tuple[str, str, str]]:
    """URL and text of each pair, and how the text was made: ``name``, or the kind of noise."""
    for concept in found:
        rng = _rng(seed, concept.code, "texts")
        for number in range(shape.images(concept.group)):
            url = f"{URL_PREFIX}{concept.code}-{number:05d}.jpg"
            if rng.random() < NOISE:
                other = found[rng.integers(len(found))]
                yield url, *noise_text(rng, number, other.names[0], concept.foreign)
            else:
                yield url, text_of(rng, concept.names, number, near_identical=concept.group == "head"), "name"


def view(drawing: Image.Image, rng: np.random.Generator, shaped: bool = False) -> bytes:
    """A JPEG of the drawing on a ground of any colour, of another size, place and turn.

    ``shaped``: with the icons and banners that pages have.
    """
    width = height = PIXELS
    chance = rng.random()
    if shaped and chance < SMALL:
        width = height = int(rng.integers(48, 150))
    elif shaped and chance < SMALL + BANNER:
        width, height = 720, 220
    ground = Image.new("RGB", (width, height), tuple(int(c) for c in rng.integers(96, 256, 3)))
    side = max(16, int(min(width, height) * rng.uniform(0.6, 0.95)))
    turned = drawing.resize((side, side), Image.Resampling.BILINEAR).rotate(
        rng.uniform(-20, 20), Image.Resampling.BILINEAR
    )
    at = (int(rng.integers(0, width - side + 1)), int(rng.integers(0, height - side + 1)))
    ground.paste(turned, at, turned)
    out = io.BytesIO()
    ground.save(out, "JPEG", quality=85)
    return out.getvalue()


def _rng(seed: int, *of: str | int) -> np.random.Generator:
    """The random numbers of one thing: they do not depend on what else there is."""
    return np.random.default_rng([seed, *"\0".join(map(str, of)).encode()])


@cache
def _drawing(code: str) -> Image.Image:
    import resvg_py

    content = bytes(resvg_py.svg_to_bytes(svg_path=str(drawings()[code]), width=PIXELS, height=PIXELS))
    return Image.open(io.BytesIO(content)).convert("RGBA")


def _render(job: tuple[str, int, int, str]) -> None:
    code, count, seed, folder = job
    for number in range(count):
        content = view(_drawing(code), _rng(seed, code, "pool", number), shaped=True)
        Path(folder, f"{code}-{number:05d}.jpg").write_bytes(content)
    _drawing.cache_clear()


def _render_all(found: list[Concept], seed: int, shape: Shape, folder: Path) -> None:
    jobs = [(concept.code, shape.images(concept.group), seed, str(folder / "images")) for concept in found]
    with Progress(console=console, transient=True) as progress, ProcessPoolExecutor(os.cpu_count()) as pool:
        task = progress.add_task("Rendering images", total=sum(count for _, count, _, _ in jobs))
        for (_, count, _, _), _ in zip(jobs, pool.map(_render, jobs), strict=True):
            progress.advance(task, count)


def _write_evaluation(found: list[Concept], seed: int, views: int, folder: Path) -> None:
    """A data set for zero-shot classification, in CLIP_benchmark's layout with a group for each class."""
    (folder / "test").mkdir(parents=True)
    (folder / "classnames.txt").write_text("".join(f"{concept.names[0]}\n" for concept in found))
    (folder / "classgroups.txt").write_text("".join(f"{concept.group}\n" for concept in found))
    (folder / "zeroshot_classification_templates.txt").write_text("{c}\n")
    with tarfile.open(folder / "test" / "0.tar", "w") as tar:
        for number, concept in enumerate(found):
            for at in range(views):
                content = view(_drawing(concept.code), _rng(seed, concept.code, "evaluation", at))
                for ending, member in (("cls", str(number).encode()), ("jpg", content)):
                    info = tarfile.TarInfo(f"{number:05d}-{at}.{ending}")
                    info.size = len(member)
                    tar.addfile(info, io.BytesIO(member))
            _drawing.cache_clear()
