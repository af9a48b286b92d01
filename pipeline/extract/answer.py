"""An HTTP answer: the headers that say something of its page, and its body."""

import re
from collections import defaultdict

NAMES = ("content-type", "content-encoding", "transfer-encoding", "content-language", "x-robots-tag", "tdm-reservation")
_PLAIN = re.compile(rb"\n(%s)[ \t]*:([^\r\n]*)" % "|".join(NAMES).encode(), re.IGNORECASE)
# Lines that go on, or end with another sign, and what is not ASCII.
_ODD = re.compile(rb"\n[ \t]|\r(?!\n)|[\x0b\x0c\x1c-\x1f\x80-\xff]")
Headers = dict[str, list[str]]


def message(content: bytes) -> tuple[Headers, bytes]:
    """The values of headers of ``NAMES`` that there are, and the body of an answer."""
    head, body = _parts(content)
    if _ODD.search(head):
        return _of_lines(head), body
    headers: Headers = {}
    for name, value in _PLAIN.findall(head):
        headers.setdefault(name.decode().lower(), []).append(value.decode().strip())
    return headers, body


def _parts(content: bytes) -> tuple[bytes, bytes]:
    """Head and body: the first empty line is between them, whatever ends lines."""
    start, length = content.find(b"\n\r\n"), 3
    other = content.find(b"\n\n", 0, start + 1 if start >= 0 else len(content))
    if other >= 0:
        start, length = other, 2
    if start < 0:
        return content, b""
    return content[: start - content.startswith(b"\r", start - 1)], content[start + length :]


def _of_lines(head: bytes) -> Headers:
    headers: Headers = defaultdict(list)
    name = None
    for line in head.decode("utf-8", "replace").splitlines()[1:]:
        if line[:1] in (" ", "\t") and name:
            headers[name][-1] += " " + line.strip()
            continue
        name, colon, value = line.partition(":")
        name = name.strip().lower() if colon else None
        if name:
            headers[name].append(value.strip())
    return {name: headers[name] for name in NAMES if name in headers}
