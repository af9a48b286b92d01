"""``python -m benchmarks.peers --texts FILE --entries FILE --peers-python PYTHON``: de-duplication beside others.

``python jobs/dedupe.py`` with its start, on a pool that is ingested and matched already, beside ``python -m
text_dedup.minhash`` as its README calls it and Daft by the steps of its tutorial (``benchmarks.daft_dedupe``), each a
process of its own, in turns, reading Parquet. PYTHON is the interpreter of an environment with ``text-dedup==0.4.0``,
``daft`` and ``igraph``, which need not be the pipeline's. All compare every text, keep one of a cluster, and have as
many permutations and the same threshold.

Both peers make shingles of words alone. With ``words`` all take 5 words; with ``characters`` ours takes the text and
the peers get it normalised and cut into characters with spaces between (made before the clock starts), so that
their shingles are ours. Ours compares the candidates' true similarities and the peers do not, so that they keep fewer.
"""

import json
import re
import shutil
import sys
import tempfile
from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.dataset as pads
import pyarrow.parquet as pq
import typer
from rich.table import Table

from benchmarks.compare import read_lines, read_texts, write_json
from benchmarks.pool import write_pool
from benchmarks.process import PROJECT, Taken, measured
from pipeline.dedupe.bands import bands_and_rows
from pipeline.dedupe.shingles import normalise
from pipeline.errors import PipelineError
from pipeline.job import new_app, run
from pipeline.match.fast import FastMatcher
from pipeline.progress import results, say

SHINGLE, PERMUTATIONS, THRESHOLD = 5, 128, 0.8
WARM_TEXTS, GROUP_ROWS = 2_000, 100_000
OURS, TEXT_DEDUP, DAFT, DAFT_IGRAPH = "ours", "text-dedup", "Daft", "Daft, igraph"
OFFLINE = {"HF_HUB_OFFLINE": "1", "DAFT_ANALYTICS_ENABLED": "0"}
app = new_app()


@app.command(help=__doc__)
def main(
    texts: Annotated[list[Path], typer.Option(help="Texts, one a line, up to the first tab (again for more).")],
    entries: Annotated[Path, typer.Option(help="Entries, one a line (plain, gz, zst).")],
    peers_python: Annotated[Path, typer.Option(help="The interpreter that has the peers.")],
    most: Annotated[int, typer.Option(help="So many texts; beyond those given they are recombined.")] = 50_000,
    shingle_by: Annotated[str, typer.Option(help="words, characters or both.")] = "words,characters",
    turns: Annotated[int, typer.Option(help="Turns of each; the fastest counts, and the most memory.")] = 2,
    name: Annotated[str, typer.Option(help="Of the JSON file.")] = "peers",
) -> None:
    """Measures and reports."""
    real = [text for file in texts for line in read_texts(file) if (text := line.split("\t")[0]).strip()]
    facts = []
    with tempfile.TemporaryDirectory(prefix="metaclip-peers-") as folder:
        work = Path(folder)
        (work / "entries.txt").write_text("\n".join(read_lines(entries)) + "\n", encoding="utf-8")
        matcher = FastMatcher.build(pa.array(read_lines(entries)), "metaclip1")
        for size in (WARM_TEXTS, most):
            chosen = choose(real, size, work / "recombined")
            chosen = chosen.filter(pc.greater(pc.list_value_length(matcher.match(chosen)), 0))
            found = compare(work, chosen, shingle_by.split(","), peers_python, 1 if size == WARM_TEXTS else turns)
            facts = found if size == most else []
    made = max(0, most - len(real))
    title = f"{len(chosen):,} texts, about {made:,} of them recombined" if made else f"{len(chosen):,} real texts"
    table = Table(
        title=f"{title}; Jaccard {THRESHOLD}, {PERMUTATIONS} permutations", header_style="bold", pad_edge=False
    )
    for heading in ("shingles", "", "seconds", "takes", "core-s", "peak GB", "kept"):
        table.add_column(heading, justify="right" if heading not in ("", "shingles") else "left", no_wrap=True)
    for fact in facts:
        if "failed" in fact:
            table.add_row(fact["shingle_by"], fact["way"], "failed")
            continue
        ours = next(f for f in facts if f["shingle_by"] == fact["shingle_by"] and f["way"] == OURS)
        fact["ratio"] = fact["seconds"] / ours["seconds"]
        table.add_row(
            fact["shingle_by"], fact["way"], f"{fact['seconds']:.1f}", f"{fact['ratio']:.2f}x",
            f"{fact['core_seconds']:.1f}", f"{fact['peak_bytes'] / 1e9:.2f}", f"{fact['kept']:,}",
        )  # fmt: skip
    results.print(table)
    for fact in facts:
        if "failed" in fact:
            say(f"{fact['way']}, {fact['shingle_by']}: {fact['failed']}")
    say("takes: times what ours takes. Memory: the tree's PSS, sampled.")
    write_json(name, {"texts": len(chosen), "recombined": made, "threshold": THRESHOLD, "runs": facts})


def choose(real: list[str], size: int, folder: Path) -> pa.Array:
    """So many texts in random order: the real ones, and where those are too few, recombinations of their halves."""
    texts = pa.array(real)
    if size > len(real):
        write_pool(real, size - len(real), folder)
        made = pq.read_table(folder, columns=["text"])["text"]
        texts = pa.concat_arrays([texts, *made.chunks])
    return texts.take(pa.array(np.random.default_rng(0).permutation(len(texts))[:size]))


def compare(work: Path, texts: pa.Array, kinds: list[str], python: Path, turns: int) -> list[dict[str, Any]]:
    """What each program takes for the texts, by kind of shingle, and how many it keeps; or why it failed."""
    numbers = pc.binary_join_element_wise("https://pool.test/", pa.array(np.arange(len(texts))).cast(pa.string()), "")
    pq.write_table(pa.table({"url": numbers, "text": texts}), work / "pool.parquet", row_group_size=GROUP_ROWS)
    facts = []
    for kind in kinds:
        shutil.rmtree(work / OURS, ignore_errors=True)
        for job, options in (("ingest", ["--input", str(work / "pool.parquet")]), ("match", [])):
            measured([*job_command(work, job, kind), *options])
        given = texts if kind == "words" else pa.array([spelled_out(text) for text in texts.to_pylist()])
        pq.write_table(pa.table({"text": given}), work / "texts.parquet", row_group_size=GROUP_ROWS)
        took: dict[str, list[Taken]] = {}
        failed: dict[str, str] = {}
        for _ in range(turns):
            for way, command in commands_of(work, kind, python).items():
                clear(work, way)
                took.setdefault(way, [])
                try:
                    took[way].append(measured(command, OFFLINE))
                    say(f"{len(texts):,} texts, {kind}, {way}: {took[way][-1]}, {kept(work, way):,} kept")
                except PipelineError as error:
                    failed[way] = str(error)
        for way, turns_of_way in took.items():
            fact: dict[str, Any] = {"shingle_by": kind, "way": way}
            if way in failed:
                facts.append(fact | {"failed": failed[way]})
                continue
            facts.append(
                fact
                | {
                    "seconds": min(turn.seconds for turn in turns_of_way),
                    "core_seconds": min(turn.core_seconds for turn in turns_of_way),
                    "peak_bytes": max(turn.peak_bytes for turn in turns_of_way),
                    "kept": kept(work, way),
                    "turns": [asdict(turn) for turn in turns_of_way],
                }
            )
    return facts


def commands_of(work: Path, kind: str, python: Path) -> dict[str, list[str]]:
    """The command of each program."""
    texts, bands = str(work / "texts.parquet"), bands_and_rows(THRESHOLD, PERMUTATIONS)
    daft = [str(python), str(PROJECT / "benchmarks/daft_dedupe.py"), texts]
    options = {"ngram": SHINGLE, "permutations": PERMUTATIONS, "bands": bands[0], "rows": bands[1]}
    flags = [part for key, value in options.items() for part in (f"--{key}", str(value))]
    return {
        OURS: [*job_command(work, "dedupe", kind), "--force"],
        TEXT_DEDUP: [
            str(python), "-m", "text_dedup.minhash", "--path", "parquet", "--data_files", texts, "--split", "train",
            "--cache_dir", str(work / "cache"), "--output", str(work / TEXT_DEDUP), "--column", "text",
            "--batch_size", "10000", "--ngram", str(SHINGLE), "--min_length", "1", "--num_perm", str(PERMUTATIONS),
            "--threshold", str(THRESHOLD),
        ],
        DAFT: [*daft, str(work / DAFT), "--components", "stars", *flags],
        DAFT_IGRAPH: [*daft, str(work / DAFT_IGRAPH), "--components", "igraph", *flags],
    }  # fmt: skip


def job_command(work: Path, job: str, kind: str) -> list[str]:
    """The command of one of our jobs."""
    settings = [
        "language.identify=none", "language.keep=[]", f"entries.en={work / 'entries.txt'}", "dedupe.min_words=0",
        "dedupe.keep_per_cluster=1", f"dedupe.shingle={SHINGLE}", f"dedupe.shingle_by={kind}",
        f"dedupe.permutations={PERMUTATIONS}", f"dedupe.threshold={THRESHOLD}",
    ]  # fmt: skip
    options = ["--recipe", "metaclip-400m", "--output", str(work / OURS)]
    return [sys.executable, f"jobs/{job}.py", *options, *(part for one in settings for part in ("--set", one))]


def spelled_out(text: str) -> str:
    """A text whose words are the characters of ``text``, normalised: white space and marks as letters of their own."""
    return " ".join(re.sub(r"\W", lambda found: chr(0x4E00 + ord(found[0]) % 0x5000), normalise(text)))


def clear(work: Path, way: str) -> None:
    """Removes what a peer has written, its cache of intermediate results too. Ours is told to do all again."""
    if way != OURS:
        for folder in (work / way, work / "cache"):
            shutil.rmtree(folder, ignore_errors=True)


def kept(work: Path, way: str) -> int:
    """The number of texts that a program left."""
    if way == OURS:
        return json.loads((work / OURS / "summary.json").read_text())["stages"][-1]["out"]
    if way == TEXT_DEDUP:
        return sum(pa.ipc.open_stream(file).read_all().num_rows for file in (work / way).glob("*.arrow"))
    return pads.dataset(work / way).count_rows()


if __name__ == "__main__":
    run(app)
