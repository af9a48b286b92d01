"""``python -m benchmarks.extract --wat FILE --warc FILE``: pairs out of crawl files, beside what others do.

All by the CPU time of one core, in turns. For WAT: FastWARC reading the bare records, a loop of gzip, orjson and
urljoin, and cc2dataset's own parsing function, run by the interpreter of ``--peers-python`` (``pip install
cc2dataset``). For WARC: bare reading, and a loop of warcio, selectolax and urljoin. The loops take images with a src
and an alt, and do no more.
"""

import gzip
import io
import json
import subprocess
from pathlib import Path
from typing import Annotated, Any
from urllib.parse import urljoin

import orjson
import typer
from fastwarc.warc import ArchiveIterator
from selectolax.lexbor import LexborHTMLParser

from benchmarks.compare import rates, report
from pipeline.extract.file import extract_file
from pipeline.extract.found import Found
from pipeline.extract.options import Extract
from pipeline.extract.repeats import Repeats
from pipeline.job import new_app, run

BUFFER = 1 << 20
# What the peers' interpreter runs: CPU seconds and pairs of one turn.
CC2DATASET = """
import json, sys, time
from loguru import logger
from cc2dataset.main import extract_documents_from_wat
logger.remove()
started = time.thread_time()
found = extract_documents_from_wat(open(sys.argv[1], "rb"), "image")
print(json.dumps([time.thread_time() - started, len(found)]))
"""
app = new_app()


@app.command(help=__doc__)
def main(
    wat: Annotated[Path | None, typer.Option(help="A WAT file.")] = None,
    warc: Annotated[Path | None, typer.Option(help="A WARC file.")] = None,
    peers_python: Annotated[Path | None, typer.Option(help="The interpreter that has cc2dataset.")] = None,
) -> None:
    """Measures and reports."""
    if wat is not None:
        ways = {"ours": ours(wat, "wat"), "bare reading": bare(wat), "gzip, orjson, urljoin": loop_of_wat(wat)}
        show("extract-wat", wat, ways, {"cc2dataset": cc2dataset(wat, peers_python)} if peers_python else {})
    if warc is not None:
        ways = {
            "ours": ours(warc, "warc"),
            "bare reading": bare(warc),
            "warcio, selectolax, urljoin": loop_of_warc(warc),
        }
        show("extract-warc", warc, ways, {})


def show(name: str, file: Path, ways: dict[str, Any], others: dict[str, tuple[float, int]]) -> None:
    """Runs each way in turns, and reports megabytes of the packed file a second, and the links that each gives."""
    size = file.stat().st_size / 1e6
    facts: dict[str, Any] = {"MB": round(size, 1)} | {f"{way}:": f"{way_of():,}" for way, way_of in ways.items()}
    facts |= {f"{way}:": f"{found:,}" for way, (_, found) in others.items()}
    found = rates({way: (size, way_of) for way, way_of in ways.items()})
    report(name, "MB", found | {way: size / seconds for way, (seconds, _) in others.items()}, facts)


def ours(file: Path, kind: str):
    """All that the stage does with a file but for writing; gives the links that have an absolute URL and a text."""

    def work() -> int:
        found, repeats = Found(), Repeats()
        with io.BufferedReader(file.open("rb", buffering=0), BUFFER) as stream:
            for rows, counted, _ in extract_file(stream, kind, Extract()):
                repeats.fresh(rows, counted)
                found.add(counted)
        return found.pairs + found.dropped["repeated"]

    return work


def bare(file: Path):
    """The bytes of the records."""

    def work() -> int:
        with io.BufferedReader(file.open("rb", buffering=0), BUFFER) as stream:
            return sum(len(record.reader.read()) for record in ArchiveIterator(stream, parse_http=False))

    return work


def loop_of_wat(file: Path):
    """The lines that anyone writes for a WAT."""

    def work() -> int:
        found = []
        with gzip.open(file) as lines:
            for line in lines:
                if not line.startswith(b"{"):
                    continue
                envelope = orjson.loads(line)["Envelope"]
                page = envelope["WARC-Header-Metadata"]["WARC-Target-URI"]
                answer = envelope["Payload-Metadata"].get("HTTP-Response-Metadata", {})
                for link in answer.get("HTML-Metadata", {}).get("Links", []):
                    if link["path"] == "IMG@/src" and link.get("alt"):
                        found.append((urljoin(page, link["url"]), link["alt"], page))
        return len(found)

    return work


def loop_of_warc(file: Path):
    """The lines that anyone writes for a WARC."""
    from warcio.archiveiterator import ArchiveIterator as Records

    def work() -> int:
        found = []
        with file.open("rb") as stream:
            for record in Records(stream):
                if record.rec_type == "response":
                    page = record.rec_headers.get_header("WARC-Target-URI")
                    for node in LexborHTMLParser(record.content_stream().read()).css("img"):
                        image = node.attributes
                        if image.get("src") and image.get("alt"):
                            found.append((urljoin(page, image["src"]), image["alt"], page))
        return len(found)

    return work


def cc2dataset(file: Path, python: Path) -> tuple[float, int]:
    """CPU seconds and pairs of cc2dataset's function, the best of three runs."""
    told = [
        subprocess.run([python, "-c", CC2DATASET, file], capture_output=True, text=True, check=True) for _ in range(3)
    ]
    return min(tuple(json.loads(one.stdout.splitlines()[-1])) for one in told)


if __name__ == "__main__":
    run(app)
