"""Seeded damage to files of every kind that is read, and what the plain functions of tasks make of them."""

import csv
import gzip
import io
import json
import random
import struct
import tarfile
import zlib
from collections import Counter
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import zstandard
from PIL import Image

from pipeline.entries.lists import load_list
from pipeline.errors import PipelineError, UsageError
from pipeline.filter.hashes import facts
from pipeline.ingest.plan import plan
from pipeline.ingest.read import ROWS_READ, VALUES_LOST, read_split
from pipeline.recipe import Input
from pipeline.shards.content import ImageFile, image_loader
from pipeline.tars.index import samples_of

ROWS = 40
MOST_PIXELS = 1 << 22
TABLES = (".parquet", ".csv", ".tsv", ".jsonl", ".csv.gz", ".jsonl.gz")
IMAGES = ("JPEG", "PNG", "WEBP", "GIF", "BMP", "TIFF", "ICO", "JPEG2000", "MPO", "PPM")
LISTS = (".txt", ".txt.gz", ".txt.zst", ".json", ".parquet")
KINDS = (*TABLES, ".tar", *IMAGES, *(f"list{suffix}" for suffix in LISTS))
NUMBERS = [0, 1, 0x7F, 0x80, 0xFF, 0x7FFF, 0xFFFF, 0x7FFFFFFF, 0x80000000, 0xFFFFFFFF, 1 << 63, (1 << 64) - 1]
SIGNS = [b'"', b"\n", b"\r", b",", b"\t", b"\0", b"\\", b"{", b"}", b"[", b"]", b":", b"\xff", b"\xed\xa0\x80", b"null",
         b"1e999", b"\\ud800", b"PAR1", b"\x1f\x8b\x08\x00", b"ustar\0", b"IHDR", b"\xff\xd8\xff", b"../", b"NaN"]  # fmt: skip


def table() -> dict[str, list]:
    """Rows of a pool."""
    return {
        "url": [f"http://x.test/{n}.jpg" for n in range(ROWS)],
        "text": [f'a "cat", number {n}' if n % 5 else f"Zwei\nZeilen {n} größer 猫" for n in range(ROWS)],
        "width": [n if n % 3 else None for n in range(ROWS)],
    }


def whole(kind: str) -> bytes:
    """A file of a kind, without damage."""
    rows, out = table(), io.BytesIO()
    match kind:
        case ".parquet":
            pq.write_table(pa.table(rows), out, row_group_size=15)
        case ".jsonl" | ".jsonl.gz":
            lines = (json.dumps(dict(zip(rows, row, strict=True))) for row in zip(*rows.values(), strict=True))
            out.write("".join(f"{line}\n" for line in lines).encode())
        case ".csv" | ".csv.gz":
            lines = io.StringIO()
            csv.writer(lines, lineterminator="\n").writerows([list(rows), *zip(*rows.values(), strict=True)])
            out.write(lines.getvalue().encode())
        case ".tsv":
            cells = [[str(value or "").replace("\n", " ") for value in row] for row in zip(*rows.values(), strict=True)]
            out.write("".join("\t".join(line) + "\n" for line in [list(rows), *cells]).encode())
        case ".tar":
            with tarfile.open(fileobj=out, mode="w") as tar:
                for n in range(4):
                    for ending, content in (
                        ("jpg", b"\xff\xd8" * 300),
                        ("json", b'{"uid": "%d"}' % n),
                        ("txt", b"a cat"),
                    ):
                        member = tarfile.TarInfo(f"{'long/' * 30 * (n == 3)}{n:04d}.{ending}")
                        member.size = len(content)
                        tar.addfile(member, io.BytesIO(content))
        case "list.parquet":
            pq.write_table(pa.table({"entry_id": pa.array(range(9), pa.int32()), "entry": list("abcdefghi")}), out)
        case "list.json":
            out.write(json.dumps([f"entry {n}" for n in range(30)]).encode())
        case "list.txt" | "list.txt.gz" | "list.txt.zst":
            out.write("".join(f"entry {n} größe\n" for n in range(30)).encode())
        case _:
            shade = np.arange(32 * 24 * 3, dtype=np.uint32).reshape(24, 32, 3) * 7 % 256
            Image.fromarray(shade.astype(np.uint8)).save(out, kind)
    content = out.getvalue()
    content = gzip.compress(content, mtime=0) if kind.endswith(".gz") else content
    return zstandard.compress(content) if kind.endswith(".zst") else content


def damaged(kind: str, rng: random.Random) -> bytes:
    """A file with some of its bytes others, gone, twice, or cut; of packed ones half inside of the packing."""
    content = WHOLE[kind]
    if kind.endswith(".gz") and rng.random() < 0.5:
        return gzip.compress(_damaged(zlib.decompress(content, 31), rng), compresslevel=1, mtime=0)
    return _damaged(content, rng)


def _damaged(content: bytes, rng: random.Random) -> bytes:
    found = bytearray(content)
    for _ in range(rng.choice((1, 1, 1, 2, 3, 8))):
        at = rng.randrange(len(found) + 1)
        match rng.randrange(8):
            case 0 if at < len(found):
                found[at] ^= 1 << rng.randrange(8)
            case 1:
                found[at : at + 1] = bytes([rng.randrange(256)])
            case 2:
                del found[at : at + rng.choice((1, 2, 16, 400))]
            case 3:
                found[at:at] = found[(start := rng.randrange(len(found) + 1)) : start + rng.randrange(300)]
            case 4:
                found[at:at] = rng.choice(SIGNS)
            case 5:
                size, number = rng.choice(((1, "B"), (2, "H"), (4, "I"), (8, "Q"))), rng.choice(NUMBERS)
                packed = struct.pack(rng.choice("<>") + size[1], number % (1 << 8 * size[0]))
                found[at : at + len(packed)] = packed
            case 6:
                del found[at:]
            case 7:
                found[at:at] = rng.randbytes(rng.randrange(1, 40))
    return bytes(found)


def read(number: int, folder: Path) -> str:
    """Damages a file and reads it as tasks do; what came of it. Raises ``AssertionError`` where rows do not add up."""
    rng = random.Random(number)
    kind = KINDS[number % len(KINDS)]
    content = damaged(kind, rng)
    if kind in TABLES:
        return _table(kind, content, folder)
    if kind == ".tar":
        return _tar(content, folder)
    if kind in IMAGES:
        return _image(content)
    return _list(kind, content, folder)


def _table(kind: str, content: bytes, folder: Path) -> str:
    for name, part in (("a", WHOLE[kind]), ("b", content)):
        (folder / f"{name}{kind}").write_bytes(part)
    options = Input(paths=[str(folder / f"a{kind}"), str(folder / f"b{kind}")], max_text_bytes=1 << 16)
    try:
        found = plan(options, False)
    except UsageError as error:  # The header is another.
        return _refused(error)
    counts: Counter[str | None] = Counter()
    for split in found.splits:
        if split.path.endswith(f"b{kind}"):
            for batch in read_split(split, found, options):
                for reason, copies in zip(batch["dropped"].to_pylist(), batch["copies"].to_pylist(), strict=True):
                    counts[reason] += copies
                kept = batch.filter(pc.is_null(batch["dropped"]))
                kept.validate(full=True)
    rows, kept = counts.pop(ROWS_READ, 0), counts.pop(None, 0)
    counts.pop(VALUES_LOST, None)
    assert rows == kept + sum(counts.values()), (rows, kept, counts)
    return "dropped" if counts else "whole"


def _tar(content: bytes, folder: Path) -> str:
    (folder / "a.tar").write_bytes(content)
    found, refused = samples_of(str(folder / "a.tar"))
    for row in found.to_pylist():
        assert 0 <= row["image_offset"] <= row["image_offset"] + row["image_size"] <= len(content)
    return "refused" if refused else "whole"


def _image(content: bytes) -> str:
    looked = facts(content, MOST_PIXELS)
    shard = LOAD({"content": content})
    assert isinstance(looked, dict | str)
    if isinstance(shard, ImageFile):
        assert shard.width * shard.height <= MOST_PIXELS
    return looked if isinstance(looked, str) else "whole"


def _list(kind: str, content: bytes, folder: Path) -> str:
    file = folder / kind
    file.write_bytes(content)
    try:
        found = load_list("en", file)
    except PipelineError as error:
        return _refused(error)
    assert found.entries.null_count == 0
    return "whole"


def _refused(error: PipelineError) -> str:
    assert "\n" not in str(error), str(error)
    return "refused"


WHOLE = {kind: whole(kind) for kind in KINDS}
LOAD = image_loader(lambda row: row["content"], None, MOST_PIXELS)
