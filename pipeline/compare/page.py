"""A comparison as one page: tables and plots, no script, nothing from elsewhere."""

import base64
import hashlib
from html import escape
from typing import Any

from pipeline.compare.table import rows_of, seeds

STYLE = """
:root { color-scheme: light dark; }
body { font: 16px/1.5 system-ui, sans-serif; margin: 2rem auto; max-width: 70rem; padding: 0 1rem; }
.wide { overflow-x: auto; }
table { border-collapse: collapse; margin: 1rem 0; }
th, td { border-bottom: 1px solid #8886; padding: 0.3rem 0.8rem; text-align: right; white-space: nowrap; }
th:first-child { text-align: left; }
img { background: #fff; height: auto; max-width: 100%; }
.note { max-width: 45rem; }
"""
NOTES = (
    "All recipes had the same pool, model, tokenizer, batch, steps and seeds; a smaller set is seen more often.",
    "± is the standard deviation over the seeds, which vary initial weights and the order of samples, not the sets.",
    "What a small scale shows need not hold at a large one: the differences that MetaCLIP reports are of a few points, "
    "at 12.8 billion samples seen.",
)


def page(found: dict[str, Any], images: dict[str, bytes]) -> bytes:
    """The page as HTML. ``images``: PNG files by name."""
    digest = base64.b64encode(hashlib.sha256(STYLE.encode()).digest()).decode()
    policy = f"default-src 'none'; style-src 'sha256-{digest}'; img-src data:; base-uri 'none'; form-action 'none'"
    training = found["training"]
    about = (
        f"Scale {found['scale']}: {training['steps']:,} steps of {training['batch']:,} samples; "
        f"{seeds(found)}. Pool: {', '.join(found['pool'])}."
    )
    labels = list(found["recipes"])
    shares = [(label, [f"{100 * share:.1f}" for share in line.values()]) for label, line in found["in_common"].items()]
    parts = [
        "<!doctype html>", '<html lang="en">', "<head>", '<meta charset="utf-8">',
        f'<meta http-equiv="Content-Security-Policy" content="{policy}">',
        '<meta name="viewport" content="width=device-width, initial-scale=1">',
        "<title>Recipes side by side</title>", f"<style>{STYLE}</style>", "</head>", "<body>", "<main>",
        "<h1>Recipes side by side</h1>", f"<p>{escape(about)}</p>", table(labels, rows_of(found)),
        *(f'<p><img alt="Each measure by recipe, bars of the mean and a point for each seed" '
          f'src="data:image/png;base64,{base64.b64encode(content).decode()}"></p>' for content in images.values()),
        "<h2>Pairs in common</h2>", "<p>The share of a recipe’s pairs (row) in another’s set (column), %.</p>",
        table(labels, shares), "<h2>How to read it</h2>", *(f'<p class="note">{escape(note)}</p>' for note in NOTES),
        "</main>", "</body>", "</html>", "",
    ]  # fmt: skip
    return "\n".join(parts).encode()


def table(labels: list[str], rows: list[tuple[str, list[str]]]) -> str:
    """A table: a heading a recipe, a name a row."""
    head = "".join(f'<th scope="col">{escape(label)}</th>' for label in labels)
    body = [
        f'<tr><th scope="row">{escape(name)}</th>{"".join(f"<td>{escape(cell)}</td>" for cell in cells)}</tr>'
        for name, cells in rows
    ]
    return (
        f'<div class="wide"><table><thead><tr><td></td>{head}</tr></thead><tbody>{"".join(body)}</tbody></table></div>'
    )
