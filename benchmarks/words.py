"""``python -m benchmarks.words --language ja``: texts and entries of a language, from the package wordfreq.

Entries are the language's words; a text is words drawn by their frequency, without spaces between them for ``zh`` and
``ja``. Writes ``output/bench/<language>-texts.txt`` and ``<language>-entries.txt``.
"""

import random
from pathlib import Path
from typing import Annotated

import typer
from wordfreq import get_frequency_dict

from pipeline.job import new_app, run
from pipeline.progress import say

app = new_app()


@app.command(help=__doc__)
def main(
    language: Annotated[str, typer.Option(help="A language of wordfreq.")],
    texts: Annotated[int, typer.Option(help="So many texts.")] = 50_000,
    words: Annotated[int, typer.Option(help="Of a text.")] = 9,
) -> None:
    """Writes the two files."""
    frequencies = get_frequency_dict(language, "best")
    entries = list(frequencies)
    space = "" if language in ("zh", "ja") else " "
    drawn = random.Random(0).choices(entries, list(frequencies.values()), k=texts * words)
    lines = [space.join(drawn[i : i + words]) for i in range(0, len(drawn), words)]
    folder = Path("output/bench")
    folder.mkdir(parents=True, exist_ok=True)
    for kind, content in (("texts", lines), ("entries", entries)):
        file = folder / f"{language}-{kind}.txt"
        file.write_text("\n".join(content) + "\n", encoding="utf-8")
        say(f"Written: {file}")


if __name__ == "__main__":
    run(app)
