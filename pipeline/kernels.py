"""Compiles the kernels of a plain run on small examples, so that no run waits for it: ``python -m pipeline.kernels``.

``make`` starts it when the packages that it needs are there, while it installs the others. What is compiled here is in
Numba's cache (``compiled.py``) for every later process; what is not, or whose code changed, is compiled at its first
use as ever. The examples have the types of the real thing: a kernel is compiled for the types of a call.
"""

import os
import tempfile
from concurrent.futures import ProcessPoolExecutor
from io import BytesIO
from pathlib import Path

import numpy as np
import pyarrow as pa
from PIL import Image

TEXTS = ["a photo of a dog", "a photo of a dog .", "Ein Hund, zwei Hunde"]
WIDE = pa.array(TEXTS, pa.large_string())


def match() -> None:
    """Building a list's tables, and matching with them."""
    from pipeline.match.engine import build_file

    with tempfile.TemporaryDirectory() as folder:
        build_file(pa.array(["dog", "a photo"]), "metaclip1", "fast", Path(folder) / "tables")


def ids_and_texts() -> None:
    """Ids of pairs and normalised texts, their signatures, sketches, candidates and similarities."""
    from pipeline.buckets.hashing import hashes, pair_ids
    from pipeline.buckets.scatter import by_place
    from pipeline.components.stars import stars
    from pipeline.dedupe.added.bitmap import Bitmap
    from pipeline.dedupe.bands import band_hashes
    from pipeline.dedupe.candidates import candidate_pairs, equal_edges
    from pipeline.dedupe.jaccard import jaccards
    from pipeline.dedupe.normal import normal_texts
    from pipeline.dedupe.signatures import coefficients, signatures
    from pipeline.dedupe.sketches import sketches

    pair_ids(pa.array(TEXTS), pa.array(TEXTS))
    hashes(WIDE)
    normal, _ = normal_texts(pa.array(TEXTS))
    band_hashes(signatures(normal, coefficients(128), 5), 9, 13, np.zeros(len(normal), np.int64))
    sketches(normal, 5)
    jaccards(normal, normal, 5)
    ids = np.arange(2)
    for writeable in (True, False):  # Arrow gives both
        equal, some = np.zeros(2, np.int64), np.arange(2)
        equal.flags.writeable = some.flags.writeable = writeable
        candidate_pairs(equal, some, some)
        equal_edges(equal, some, equal)
    by_place(ids)
    stars(ids, ids[::-1])
    held = Bitmap(2)
    held.add(held.places(ids))
    held.holds(ids)


def counts() -> None:
    """Counts of entries, and what is drawn by them."""
    from pipeline.balance.counts import EntryCounter
    from pipeline.balance.thresholds import keep_probability

    EntryCounter({"en": 1}).add(pa.array(["en"]), pa.array([[0]], pa.list_(pa.int32())))
    keep_probability(np.ones(1), np.zeros(1, np.int64), np.array([0, 1]))


def links() -> None:
    """The links of a crawl's metadata and pages, and the rules for them."""
    from pipeline.extract.file import extract_file
    from pipeline.extract.options import Extract
    from pipeline.extract.repeats import Repeats

    link = '{"path":"IMG@/src","url":"a","alt":"a dog"}'
    page = f'{{"Payload-Metadata":{{"HTTP-Response-Metadata":{{"HTML-Metadata":{{"Links":[{link}]}}}}}}}}'
    answer = "HTTP/1.1 200 OK\r\nContent-Type: text/html\r\n\r\n<img src=a alt='a dog'>"
    records = {"wat": ("metadata", f'{{"Envelope":{page}}}'), "warc": ("response", answer)}
    repeats = Repeats()
    for kind, (name, record) in records.items():
        head = f"WARC/1.0\r\nWARC-Type: {name}\r\nWARC-Target-URI: https://example.org/\r\n"
        file = f"{head}Content-Length: {len(record)}\r\n\r\n{record}\r\n\r\n"
        for rows, found, _ in extract_file(BytesIO(file.encode()), kind, Extract()):
            repeats.fresh(rows, found)


def images() -> None:
    """Resizing for the trainer."""
    from pipeline.train.resize import resize_crop

    resize_crop(Image.new("RGB", (2, 2)), (0, 0, 2, 2), 2, 2)


def compile_kernels() -> None:
    """Compiles all, the parts at the same time where there are cores for it."""
    parts = (match, ids_and_texts, counts, links, images)
    with ProcessPoolExecutor(min(len(parts), os.cpu_count() or 1)) as pool:
        for done in [pool.submit(part) for part in parts]:
            done.result()


if __name__ == "__main__":
    compile_kernels()
