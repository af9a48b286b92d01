"""The pairs of some crawl files, for a forecast: random files are read as the stage ``extract`` reads them."""

import os
from collections import Counter
from dataclasses import dataclass

import numpy as np

from pipeline.errors import PipelineError
from pipeline.extract.inputs import CrawlFile, crawl_files
from pipeline.extract.store import write_pairs
from pipeline.recipe import Recipe

# Files are read until there are so many packed bytes, of at least so many files.
BYTES, FILES, MOST_FILES = 64 << 20, 4, 16


@dataclass(frozen=True)
class Crawled:
    """What was found in some files: links and pairs, ``dropped`` links by reason; ``scale``: of those to all files.

    ``files``: of the whole input. ``seconds`` of cores that it took, ``size``: bytes that the pairs take.
    """

    links: int
    pairs: int
    dropped: Counter
    scale: float
    files: int
    seconds: float
    size: int


def crawled(recipe: Recipe, folder: str, seed: int) -> Crawled:
    """Reads files of a crawl into a folder of tables of pairs."""
    kind = recipe.input.format
    files, _ = crawl_files(recipe.input.paths, kind, recipe.extract.prefix)
    chosen, links, pairs, dropped, damage = [], 0, 0, Counter(), None
    before = os.times()
    for at in np.random.default_rng(seed).permutation(len(files)).tolist():
        if len(chosen) >= FILES and (sum(file.size for file in chosen) >= BYTES or len(chosen) >= MOST_FILES):
            break
        file = files[at]
        found = write_pairs(folder, f"{len(chosen):05d}.parquet", file, kind, recipe.extract, "plan")
        chosen.append(file)
        damage = damage or found.damage
        links, pairs = links + found.links, pairs + found.pairs
        dropped.update(found.dropped)
    if not pairs:
        why = f"; {damage}" if damage else ""
        raise PipelineError(f"--input: no image with a text in {len(chosen)} of {len(files)} {kind} files{why}")
    spent = sum(after - was for after, was in zip(os.times()[:4], before[:4], strict=True))
    size = sum(entry.stat().st_size for entry in os.scandir(folder))
    return Crawled(links, pairs, dropped, _scale(files, chosen), len(files), spent, size)


def _scale(files: list[CrawlFile], chosen: list[CrawlFile]) -> float:
    """All files over the chosen ones, by bytes where those are known."""
    size = sum(file.size for file in chosen)
    return sum(file.size for file in files) / size if size else len(files) / len(chosen)
