"""``python -m benchmarks.match --texts FILE --entries FILE``: the fast engine beside Aho-Corasick libraries.

All engines have their tables built before the clock starts, give the same sets (checked), and make an Arrow list of
sorted distinct ids of an Arrow array of texts. The others get the spaced texts ready made.
"""

import tempfile
import time
from pathlib import Path
from typing import Annotated

import ahocorasick_rs
import daachorse
import pyarrow as pa
import typer

from benchmarks.compare import rates, read_lines, read_texts, report
from pipeline.job import new_app, run
from pipeline.match.fast import FastMatcher
from pipeline.match.reference import ReferenceMatcher
from pipeline.match.spacing import entry_form, space_text

app = new_app()


@app.command(help=__doc__)
def main(
    texts: Annotated[Path, typer.Option(help="Texts, one a line (plain, gz, zst).")],
    entries: Annotated[Path, typer.Option(help="Entries, one a line (plain, gz, zst).")],
    form: Annotated[str, typer.Option(help="metaclip1 or metaclip2")] = "metaclip1",
    name: Annotated[str, typer.Option(help="Of the JSON file.")] = "match",
    peers: Annotated[int, typer.Option(help="So many texts for the slower engines.")] = 20_000,
) -> None:
    """Measures and reports."""
    lines, entry_list = read_texts(texts), read_lines(entries)
    every, some = pa.array(lines), pa.array(lines[:peers])
    started = time.perf_counter()
    fast = FastMatcher.build(pa.array(entry_list), form)
    built = time.perf_counter() - started
    with tempfile.TemporaryDirectory() as folder:
        fast.save(Path(folder) / "tables")
        started = time.perf_counter()
        FastMatcher.load(Path(folder) / "tables")
        loaded = time.perf_counter() - started
    forms = [entry_form(entry, form) for entry in entry_list]
    reference = ReferenceMatcher.build(pa.array(entry_list), form)
    rust = ahocorasick_rs.AhoCorasick(forms, matchkind=ahocorasick_rs.MatchKind.Standard)
    double = daachorse.CharwiseDoubleArrayAhoCorasick(forms)
    spaced = [space_text(text) for text in lines[:peers]]

    def by_rust():
        return [sorted({m[0] for m in rust.find_matches_as_indexes(text, overlapping=True)}) for text in spaced]

    def by_daachorse():
        return [sorted({m[2] for m in double.find_overlapping(text)}) for text in spaced]

    found = fast.match(every)
    want = reference.match(some)
    assert found[: len(some)].equals(want)
    assert want.to_pylist() == by_rust() == by_daachorse()
    measured = rates(
        {
            "fast": (len(every), lambda: fast.match(every)),
            "pyahocorasick": (len(some), lambda: reference.match(some)),
            "ahocorasick-rs": (len(some), lambda: pa.array(by_rust(), pa.list_(pa.int32()))),
            "daachorse": (len(some), lambda: pa.array(by_daachorse(), pa.list_(pa.int32()))),
        }
    )
    facts = {
        "texts": len(lines),
        "characters a text": round(sum(map(len, lines)) / len(lines), 1),
        "entries": len(entry_list),
        "matches a text": round(len(found.values) / len(lines), 1),
        "tables MB": round(sum(table.nbytes for table in fast.tables.values()) / 1e6, 1),
        "built s": round(built, 2),
        "loaded ms": round(1000 * loaded, 1),
    }
    report(name, "texts", measured, facts)


if __name__ == "__main__":
    run(app)
