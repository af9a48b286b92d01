"""Small outputs made by hand: their tables, their tars, and what is told of them."""

import io
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
from PIL import Image

from pipeline import storage, tables
from pipeline.recipe import Recipe
from pipeline.report.card.contents import Contents
from pipeline.report.card.croissant import croissant
from pipeline.report.card.readme import readme
from pipeline.shards.content import ImageFile
from pipeline.shards.tar import INDEX, JSON_FIELDS, write_shard
from pipeline.stages import named

CURATED = tables.arrow_schema(tables.CURATED)
FORMATS = {"jpg": "JPEG", "png": "PNG", "webp": "WEBP"}


def recipe(**given) -> Recipe:
    """A recipe of one list, with whatever is given."""
    return Recipe.model_validate({"name": "small", "entries": {"en": "en.txt"}, "balance": {"t": 3}} | given)


def contents(made: Recipe, kept: dict[str, int] | None = None, rows: int = 10, **more) -> Contents:
    """An output of which nothing is there but what is told."""
    kept = kept or {"en": rows}
    line = {"stage": "balance", "in": rows, "dropped": {}, "out": rows, "mode": "sample"}
    line |= {"t": dict.fromkeys(kept, 3.0), "tail_share": dict.fromkeys(kept, 0.5), "kept": kept}
    files = [{"path": "curated/part-00000.parquet", "rows": rows, "sha256": "0" * 64, "bytes": 9}]
    what = named("balance").tables
    given = {"stages": [line], "files": files, "schemas": {"curated": CURATED}, "tables": what} | more
    return Contents(recipe=made, **given)


def with_shards(given: Contents, shards: int, samples: int, **notes) -> Contents:
    """The same with shards."""
    line = {"stage": "shards", "in": samples, "dropped": {}, "out": samples, "shards": shards} | notes
    return contents(
        given.recipe, given.note("kept"), given.rows("curated"), stages=[*given.stages, line], files=given.files,
        schemas=given.schemas, tables=given.tables | named("shards").tables,
    )  # fmt: skip


def curated(count: int, word: str = "dog") -> pa.Table:
    """Pairs as in the table ``curated``; those of odd numbers have no source_uid and no score."""
    rows = [
        {
            "pair_id": i, "image_id": f"{i:024x}", "url": f"https://x.test/{i}", "text": f"a {word} {i} 狗",
            "language": "en", "language_score": None if i % 2 else 0.5, "source_uid": None if i < 7 else str(i),
            "copies": 1, "entry_list": "en", "entries": list(range(i % 3)), "draw": i / 100, "keep_probability": None,
        }
        for i in range(count)
    ]  # fmt: skip
    return pa.Table.from_pylist(rows, CURATED)


def image(number: int) -> ImageFile:
    """An image in one of the formats that shards have, in turn."""
    extension = list(FORMATS)[number % 3]
    out = io.BytesIO()
    Image.new("RGB", (8, 6), (number, 0, 90)).save(out, FORMATS[extension])
    return ImageFile(out.getvalue(), extension, 8, 6)


def write(folder: Path, table: pa.Table, made: Recipe, shards: Path | None = None) -> Contents:
    """Writes ``curated``, its card and Croissant description, and shards of 20 samples into ``shards``."""
    (folder / "curated").mkdir(parents=True)
    pq.write_table(table, folder / "curated" / "part-00000.parquet")
    (folder / "entry_counts").mkdir()
    counts = {"entry_list": ["en"], "entry_id": [0], "entry": ["dog"], "count": [9], "probability": [1.0], "kept": [9]}
    pq.write_table(pa.table(counts, tables.ENTRY_COUNTS), folder / "entry_counts" / "part-00000.parquet")
    schemas = {"curated": table.schema, "entry_counts": tables.ENTRY_COUNTS}
    what = {name: what for name, what in named("balance").tables.items() if name in schemas}
    if shards is not None:
        shards.mkdir()
        rows = table.select(["pair_id", *JSON_FIELDS]).to_pylist()
        for number in range(0, len(rows), 20):
            write_shard(str(shards), number // 20, rows[number : number + 20], lambda row: image(row["pair_id"]))
        storage.write_json(str(shards / "manifest.json"), {})
        schemas |= {"shards": INDEX} if shards.parent == folder else {}
    found = sorted(file for name in schemas for file in (folder / name).iterdir())
    files = [tables.describe(str(file), file.stat().st_size, f"{folder}/") for file in found]
    told = contents(made, {"en": table.num_rows}, table.num_rows, files=files, schemas=schemas, tables=what)
    if shards is not None:
        notes = {} if shards.parent == folder else {"folder": str(shards)}
        told = with_shards(told, -(-table.num_rows // 20), table.num_rows, **notes)
    (folder / "README.md").write_text(readme(told), encoding="utf-8")
    (folder / "croissant.json").write_text(croissant(told), encoding="utf-8")
    return told
