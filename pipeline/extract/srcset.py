"""Image candidates of ``srcset``, by the WHATWG's parsing algorithm (HTML, 4.8.4.2.1)."""

import re

_SPACE = "\t\n\f\r "
_URL = re.compile(r"[\t\n\f\r ,]*([^\t\n\f\r ]+)")
_NUMBER = re.compile(r"-?(?:\d+|\d*\.\d+)(?:[eE][+-]?\d+)?", re.ASCII)


def candidates(srcset: str) -> list[tuple[str, float | None, float]]:
    """The candidates without errors, in order: URL, width in pixels (None without), density (1 without)."""
    found, at = [], 0
    while match := _URL.match(srcset, at):
        url, at = match[1], match.end()
        if url.endswith(","):
            if url := url.rstrip(","):
                found.append((url, None, 1.0))
            continue
        descriptors, at = _descriptors(srcset, at)
        size = _size(descriptors)
        if size is not None:
            found.append((url, *size))
    return found


def largest(srcsets: list[str]) -> str | None:
    """The URL of the largest candidate of all: of the greatest width, or where none has one of the greatest density."""
    found = [one for srcset in srcsets for one in candidates(srcset) if not one[0].lower().startswith("data:")]
    wide = [one for one in found if one[1] is not None]
    if wide:
        return max(wide, key=lambda one: one[1])[0]
    return max(found, key=lambda one: one[2])[0] if found else None


def _descriptors(text: str, at: int) -> tuple[list[str], int]:
    """The descriptors from a place on, and the place after them; a comma in brackets does not end them."""
    found, current, depth = [], "", 0
    while at < len(text):
        sign = text[at]
        at += 1
        if depth:
            current += sign
            depth -= sign == ")"
        elif sign in _SPACE:
            found.append(current)
            current = ""
        elif sign == ",":
            break
        else:
            current += sign
            depth += sign == "("
    return [one for one in [*found, current] if one], at


def _size(descriptors: list[str]) -> tuple[float | None, float] | None:
    """Width and density; None for an error."""
    width = density = height = None
    for one in descriptors:
        number, kind = one[:-1], one[-1]
        if kind == "w" and number.isascii() and number.isdigit() and float(number) > 0 and width is density is None:
            width = float(number)
        elif kind == "x" and _NUMBER.fullmatch(number) and float(number) >= 0 and width is density is height is None:
            density = float(number)
        elif kind == "h" and number.isascii() and number.isdigit() and float(number) > 0 and height is density is None:
            height = float(number)
        else:
            return None
    if height is not None and width is None:
        return None
    return width, 1.0 if density is None else density
