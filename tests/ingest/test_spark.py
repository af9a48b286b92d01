"""The table ``pairs`` by tasks, against independent code: ids, counts by reason, the same bytes from any files."""

import gzip
import hashlib
from collections import Counter
from dataclasses import replace

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import xxhash

from pipeline.ingest import spark as ingest
from pipeline.ingest.plan import plan
from pipeline.ingest.spark import SAMPLED, with_ids, with_image_ids, write_pairs
from pipeline.language.identify import model_file
from pipeline.recipe import Input, Language
from tests.pool import rows

NONE = Language(identify="none")


def pair_id(url: str, text: str) -> int:
    found = xxhash.xxh64(f"{url}\0{text}".encode(), seed=42).intdigest()
    return found - 2**64 if found >= 2**63 else found


def image_id(url: str) -> str:
    return hashlib.sha224(url.encode()).hexdigest()[:24]


def write(folder, found, files: int, **more):
    folder.mkdir()
    for part in range(files):
        mine = found[part::files]
        columns = {"url": [row[0] for row in mine], "text": [row[1] for row in mine]}
        columns |= {
            name: pa.array([values[i] for i in range(part, len(found), files)]) for name, values in more.items()
        }
        pq.write_table(pa.table(columns), folder / f"{part:03d}.parquet", row_group_size=max(1, len(mine) // 3))
    return folder


def ingested(tasks, tmp_path, source, rows=None, language=NONE, **options):
    """What was counted, and the files of ``pairs``; ``rows``: those of the plan, which decide on buckets and parts."""
    model = None
    if language.identify == "fasttext" and not language.match_first:
        tasks.sparkContext.addFile(model_file(language.model).as_uri())
        model = model_file(language.model).name
    given = Input(paths=[str(source)], **options)
    found = plan(given, False)
    if rows is not None:
        found = replace(found, rows=rows)
    name = f"pairs-{len(list(tmp_path.iterdir()))}"
    (tmp_path / name).mkdir()
    (tmp_path / f"{name}-rows").mkdir()
    folders = str(tmp_path / name), str(tmp_path / f"{name}-rows")
    totals = write_pairs(tasks, found, given, language, model, {}, *folders)
    files = sorted(file for file in (tmp_path / name).iterdir() if not file.name.startswith("."))
    assert [file.name for file in files] == [f"part-{i:05d}.parquet" for i in range(found.buckets)]
    # Of each file a hash of samples comes along, which counts no row.
    return Counter({line: rows for line, rows in totals.lines.items() if line[0] != SAMPLED}), files


def test_ids_are_those_of_python_xxhash_and_hashlib():
    texts = ["a", "ünï 猫", "", "x" * 100_000, " \t"]
    urls = [f"http://x/{i}?é" for i in range(len(texts))]
    nulls = pa.nulls(len(texts), pa.string())
    batch = pa.record_batch({"url": urls, "text": texts, "copies": [1] * len(texts), "dropped": nulls})
    for start in (0, 2):
        found = with_image_ids(pa.Table.from_batches([with_ids(batch.slice(start))]))
        assert found["pair_id"].to_pylist() == [pair_id(*row) for row in zip(urls, texts, strict=True)][start:]
        assert found["image_id"].to_pylist() == [image_id(url) for url in urls][start:]
    assert with_image_ids(pa.Table.from_batches([with_ids(batch[:0])])).num_rows == 0


def test_languages_of_texts_and_their_pages(tasks, tmp_path):
    texts = ["Gift", "Gift", "THE HOUSE ON THE HILL", "das haus 12", "IMG_12.jpg", "🙂", "Gift", "Hus"]
    pages = ["de-DE", "en", "de", "en", "en", "en", None, "nb-NO"]
    found = [(f"http://x/{i}", text) for i, text in enumerate(texts)]
    source = write(tmp_path / "pool", found, 2, page_language=pages)
    columns = {"columns": {"page_language": "page_language"}}

    def languages(**options):
        counted, files = ingested(tasks, tmp_path, source, language=Language(**options), **columns)
        rows = [row for file in files for row in pq.read_table(file).to_pylist()]
        assert [(row["url"], row["text"]) for row in sorted(rows, key=lambda row: row["url"])] == [
            pair for pair in found if pair[0] in {row["url"] for row in rows}
        ]
        return {row["url"][-1]: row["language"] for row in rows}, counted["language_not_kept", None]

    plain, none = languages()
    with_pages, _ = languages(page_language="prior")
    assert none == 0
    assert plain | {"0": "de", "1": "en", "7": "no"} == with_pages
    assert plain["0"] == plain["1"] == plain["6"]
    assert [plain[i] for i in "2345"] == ["en", "de", "und", "und"]
    kept, dropped = languages(page_language="prior", keep=["de"])
    assert kept == {key: code for key, code in with_pages.items() if code == "de"}
    assert dropped == len(texts) - len(kept)
    later, dropped = languages(match_first=True, keep=["de"])
    assert later == dict.fromkeys("01234567")
    assert dropped == 0


def test_pairs_against_plain_python(tasks, tmp_path):
    """Of the rows of a pair the one of smallest width stays; the bytes are the same from any files in any parts."""
    pool = [(url, text) for url, text, _ in rows()]
    widths = [None if i % 11 == 0 else i * 7919 % 5 for i in range(len(pool))]
    copies = Counter(pool)
    smallest: dict = {}
    for pair, width in zip(pool, widths, strict=True):
        smallest.setdefault(pair, []).append((width is not None, width or 0))
    want = [
        (pair_id(*pair), image_id(pair[0]), *pair, width if there else None, copies[pair])
        for pair in copies
        for there, width in [min(smallest[pair])]
    ]
    by_plan: dict[int | None, set] = {}
    for number, files in enumerate((1, 3)):
        source = write(tmp_path / f"in-{number}", pool, files, width=widths)
        for planned in (None, 20_000_000):  # of so many rows a task gets several parts of its bucket
            lines, found = ingested(tasks, tmp_path, source, planned)
            columns = ["pair_id", "image_id", "url", "text", "width", "copies"]
            table = pa.concat_tables([pq.read_table(file, columns=columns) for file in found])
            assert [tuple(line.values()) for line in table.to_pylist()] == sorted(want)
            assert +lines == {
                ("kept", None): len(want), ("duplicate", None): len(pool) - len(want), ("rows_read", None): len(pool),
            }  # fmt: skip
            by_plan.setdefault(planned, set()).add(tuple(file.read_bytes() for file in found))
    assert [len(contents) for contents in by_plan.values()] == [1, 1]
    assert plan(Input(paths=[str(source)]), False).parts == 1
    assert replace(plan(Input(paths=[str(source)]), False), rows=20_000_000).parts > 1


def test_dropped_rows_are_counted_by_reason_and_file(tasks, tmp_path):
    source = write(tmp_path / "in", [("http://x/1", "a"), (None, "a"), ("http://x/2", "n\0"), ("http://x/3", "b\0")], 1)
    content = gzip.compress(b"url,text\n" + b"".join(b"http://y/%d,t\n" % i for i in range(50_000)))
    (source / "cut.csv.gz").write_bytes(content[: len(content) // 2])
    (source / "lost.csv").write_text("url,text,width\nhttp://z/1,t,wide\nhttp://z/2,t,5\nno\n")
    lines, found = ingested(tasks, tmp_path, source)
    kept = sum(pq.read_metadata(file).num_rows for file in found)
    cut = [copies for (reason, file), copies in lines.items() if reason == "truncated" and file.endswith("cut.csv.gz")]
    assert len(cut) == 1
    assert lines["missing_url", None] == 1
    assert lines["nul", None] == 2
    assert lines["malformed_row", None] == 1
    assert lines["values_lost", "width"] == 1
    assert lines["kept", None] == kept > 1000
    dropped = sum(rows for (reason, _), rows in lines.items() if reason not in ("kept", "rows_read", "values_lost"))
    assert lines["rows_read", None] == kept + dropped


def test_no_row_is_kept(tasks, tmp_path):
    lines, found = ingested(tasks, tmp_path, write(tmp_path / "in", [("http://x/1", " ")], 1))
    assert +lines == {("empty_text", None): 1, ("rows_read", None): 1}
    assert [pq.read_metadata(file).num_rows for file in found] == [0]
    assert "pair_id" in pq.read_schema(found[0]).names


@pytest.mark.parametrize("reason", ingest.FILE_REASONS)
def test_reasons_of_files_are_counted_by_file(reason):
    batch = pa.record_batch(
        {"dropped": [reason, reason, "nul", None], "source_uid": ["f", "g", "id", "h"], "copies": [3, 0, 2, 1]}
    )
    found = ingest.Totals()
    for _ in range(2):
        ingest.count_dropped(batch, found)
    assert found.lines == {(reason, "f"): 6, (reason, "g"): 0, ("nul", None): 4}
