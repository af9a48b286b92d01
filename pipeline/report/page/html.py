"""Pages of one file: data as JSON, scripts and styles by their hash in a strict content security policy.

Data never becomes markup: it stands in blocks that browsers do not run, and the scripts set text and attributes of
elements that they make themselves.
"""

import base64
import hashlib
import json
from pathlib import Path
from typing import Any

STATIC = Path(__file__).parent / "static"
LIBRARIES = ("vendor/d3.min.js", "vendor/plot.umd.min.js")
ESCAPED = str.maketrans({"<": "\\u003c", ">": "\\u003e", "&": "\\u0026", "\u2028": "\\u2028", "\u2029": "\\u2029"})


def page(data: dict[str, Any], scripts: tuple[str, ...], entries: str = "", side_files: bool = False) -> bytes:
    """The page: ``data`` for its scripts (files of ``static/``, in order), and packed entries.

    ``side_files``: whether the page loads scripts from files beside it.
    """
    style = read("report.css")
    sources = [read(name) for name in (*LIBRARIES, *scripts)]
    allowed = " ".join(f"'sha256-{digest(source)}'" for source in sources)
    beside = " 'self' file:" if side_files else ""
    policy = (
        f"default-src 'none'; script-src {allowed}{beside}; style-src 'sha256-{digest(style)}'; img-src data:; "
        "base-uri 'none'; form-action 'none'"
    )
    parts = [
        "<!doctype html>",
        '<html lang="en">',
        "<head>",
        '<meta charset="utf-8">',
        f'<meta http-equiv="Content-Security-Policy" content="{policy}">',
        '<meta name="viewport" content="width=device-width, initial-scale=1">',
        '<meta name="color-scheme" content="light dark">',
        f"<title>{escaped(data['title'])}</title>",
        f"<style>{style}</style>",
        "</head>",
        "<body>",
        '<a class="skip" href="#main">Skip to the report</a>',
        '<header id="header"></header>',
        '<nav id="nav" aria-label="Sections"></nav>',
        '<main id="main" tabindex="-1"><noscript>This page needs JavaScript to show its data.</noscript></main>',
        f'<script type="application/json" id="page-data">{as_json(data)}</script>',
        f'<script type="text/plain" id="page-entries">{entries}</script>',
        *(f"<script>{source}</script>" for source in sources),
        "</body>",
        "</html>",
        "",
    ]
    return "\n".join(parts).encode()


def as_json(data: Any) -> str:
    """JSON that can stand in a page: nothing in it ends its element."""
    return json.dumps(data, ensure_ascii=False, separators=(",", ":"), allow_nan=False).translate(ESCAPED)


def escaped(text: str) -> str:
    """Text for the title."""
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")


def read(name: str) -> str:
    """A file of ``static/``, as it stands in the page."""
    return (STATIC / name).read_text(encoding="utf-8").strip()


def digest(source: str) -> str:
    """The SHA-256 of a script or style, base64."""
    return base64.b64encode(hashlib.sha256(source.encode()).digest()).decode()
