"""Values of attributes as the tokenizer of HTML leaves them: character references are characters, lines end with LF."""

import re
from html.entities import html5

_REFERENCE = re.compile(r"&(?:#[xX]([0-9a-fA-F]+);?|#([0-9]+);?|([A-Za-z][A-Za-z0-9]*)(;|=)?)")
# A number of more digits than this is of no character.
MOST_DIGITS, LAST, REPLACEMENT = 10, 0x10FFFF, "\ufffd"


def attribute_value(text: str) -> str:
    """The value of an attribute, as it is between the quotes."""
    if "\r" in text:
        text = text.replace("\r\n", "\n").replace("\r", "\n")
    return _REFERENCE.sub(_character, text) if "&" in text else text


def _character(found: re.Match[str]) -> str:
    hexadecimal, decimal, name, sign = found.groups()
    if name is None:
        digits = (hexadecimal or decimal).lstrip("0")
        if len(digits) > MOST_DIGITS:
            return REPLACEMENT
        return _of_number(int(digits or "0", 16 if hexadecimal else 10))
    # What has no semicolon is left as it is where a letter, a digit or an equals sign follows.
    return html5.get(name + ";" if sign == ";" else name if sign is None else "", found[0])


def _of_number(number: int) -> str:
    if 0x80 <= number < 0xA0:
        return bytes([number]).decode("cp1252", "ignore") or chr(number)
    if number == 0 or number > LAST or 0xD800 <= number < 0xE000:
        return REPLACEMENT
    return chr(number)
