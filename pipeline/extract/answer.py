"""An HTTP answer: its headers and its body."""

import re
from collections import defaultdict

_HEAD_END = re.compile(rb"\r?\n\r?\n")


def message(content: bytes) -> tuple[dict[str, list[str]], bytes]:
    """The headers of an answer, by their names in lower case, and its body."""
    end = _HEAD_END.search(content)
    head, body = (content[: end.start()], content[end.end() :]) if end else (content, b"")
    headers: dict[str, list[str]] = defaultdict(list)
    name = None
    for line in head.decode("utf-8", "replace").splitlines()[1:]:
        if line[:1] in (" ", "\t") and name:
            headers[name][-1] += " " + line.strip()
            continue
        name, colon, value = line.partition(":")
        name = name.strip().lower() if colon else None
        if name:
            headers[name].append(value.strip())
    return headers, body
