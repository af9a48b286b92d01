"""``python -m benchmarks.language``: the language of short texts, by what the model is shown of them, beside others.

Labelled texts of 52 languages (``benchmarks.short_texts``) as they are written, In Title Case, IN CAPITALS, and with a
number and an address behind them, as alt-texts have it. pycld2 and py3langid take part where they are installed. The
page's language is tried as all right and, the worst case, as ``en`` on every page.
"""

import importlib.util
import time
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import pyarrow as pa
import typer
from rich.table import Table

from benchmarks.compare import write_json
from benchmarks.short_texts import Labelled, labelled
from pipeline.errors import UsageError
from pipeline.job import new_app, run
from pipeline.language.codes import canonical
from pipeline.language.identify import identify, model_file
from pipeline.progress import results, say

FORMS: dict[str, Callable[[str], str]] = {
    "as written": str,
    "Title Case": str.title,
    "CAPITALS": str.upper,
    "with number and address": lambda text: f"{text} - 2021 | www.example.com",
}
LENGTHS = (10, 20, 40, 80)
Way = Callable[[list[str]], list[str]]
app = new_app()


@app.command(help=__doc__)
def main(
    files: Annotated[list[str], typer.Option("--texts", help="LANGUAGE=FILE of captions, or a Wikipedia dump.")] = [],  # noqa: B006
    each: Annotated[int, typer.Option(help="So many texts of a language and a source.")] = 200,
    model: Annotated[str, typer.Option(help="lid.176, or the path of a fastText model.")] = "lid.176",
    name: Annotated[str, typer.Option(help="Of the JSON file.")] = "language",
) -> None:
    """Measures and reports."""
    if wrong := [given for given in files if "=" not in given]:
        raise UsageError(f"--texts: found {wrong[0]}; allowed: LANGUAGE=FILE")
    texts = labelled(each, [(language, Path(file)) for language, _, file in (f.partition("=") for f in files)])
    for package in ("django", "pycld2", "py3langid"):
        if not importlib.util.find_spec(package):
            say(f"Left out: {package} is not installed")
    want = np.array([text.language for text in texts])
    file, facts = str(model_file(model)), []
    for form, change in FORMS.items():
        changed = [change(text.text) for text in texts]
        ways = {**ours(file, want), **others()}
        found = {way: measure(texts, want, changed, guess) for way, guess in ways.items()}
        results.print(as_table(form, len(texts), found))
        facts.append({"form": form, "ways": found})
    results.print(by_language(facts[0]["ways"]))
    write_json(name, {"texts": len(texts), "languages": len(set(want)), "lengths": LENGTHS, "forms": facts})


def ours(file: str, want: np.ndarray) -> dict[str, Way]:
    """The fastText model with each value of ``language.clean``, and with the languages of pages."""

    def way(clean: str, pages: np.ndarray | None = None) -> Way:
        def guess(texts: list[str]) -> list[str]:
            given = None if pages is None else pa.array(pages[: len(texts)])
            return identify(pa.array(texts), file, clean, given)[0].to_pylist()

        return guess

    return {
        **{clean: way(clean) for clean in ("none", "lower", "letters")},
        "letters, pages right": way("letters", want),
        "letters, pages all en": way("letters", np.full(len(want), "en")),
    }


def others() -> dict[str, Way]:
    """The other packages that are installed."""
    found: dict[str, Way] = {}
    if importlib.util.find_spec("pycld2"):
        import pycld2

        found["pycld2"] = lambda texts: [pycld2.detect(text.encode(), bestEffort=True)[2][0][1] for text in texts]
    if importlib.util.find_spec("py3langid"):
        import py3langid

        found["py3langid"] = lambda texts: [py3langid.classify(text)[0] for text in texts]
    return found


def measure(texts: list[Labelled], want: np.ndarray, changed: list[str], guess: Way) -> dict[str, Any]:
    """The share of texts whose language is right, in all and by length, language and source; the CPU time of one."""
    guess(changed[:100])
    started = time.thread_time()
    got = guess(changed)
    seconds = time.thread_time() - started
    codes = {code: canonical(code, by_model=True).split("-")[0] for code in set(got)}
    found = np.array([codes[code] for code in got])
    right = found == want
    lengths = np.searchsorted(LENGTHS, [len(text.text) for text in texts])
    sources = np.array([text.source for text in texts])
    return {
        "right": right.mean(),
        "by_length": [right[lengths == part].mean() for part in range(len(LENGTHS) + 1)],
        "by_language": {name: right[want == name].mean() for name in sorted(set(want))},
        "by_source": {name: right[sources == name].mean() for name in sorted(set(sources))},
        "others_as_en": (found[want != "en"] == "en").mean(),
        "microseconds": 1e6 * seconds / len(changed),
    }


def as_table(form: str, texts: int, found: dict[str, dict[str, Any]]) -> Table:
    """The table of a form: in all, by length, by source."""
    table = Table(title=f"{texts:,} texts {form}: right in %", header_style="bold")
    first = next(iter(found.values()))
    lengths = [f"to {most}" for most in LENGTHS] + ["longer"]
    for heading in ("", "all", *lengths, *first["by_source"], "en right", "others as en", "µs a text"):
        table.add_column(heading, justify="right" if heading else "left")
    for way, fact in found.items():
        shares = [fact["right"], *fact["by_length"], *fact["by_source"].values()]
        shares += [fact["by_language"]["en"], fact["others_as_en"]]
        table.add_row(way, *(f"{100 * share:.1f}" for share in shares), f"{fact['microseconds']:.0f}")
    return table


def by_language(found: dict[str, dict[str, Any]]) -> Table:
    """The table by language."""
    table = Table(title="by language, as written: right in %", header_style="bold")
    for heading in ("", *found):
        table.add_column(heading, justify="right" if heading else "left")
    for name in next(iter(found.values()))["by_language"]:
        table.add_row(name, *(f"{100 * fact['by_language'][name]:.1f}" for fact in found.values()))
    return table


if __name__ == "__main__":
    run(app)
