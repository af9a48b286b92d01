"""What a model gets to see of a text, and which texts have no language. What is stored is the text as it was."""

import pyarrow as pa
import pyarrow.compute as pc

BREAKS = r"[\n\r\x00]+"
NUMBERS_AND_URLS = r"(?i)(https?://|www\.)\S+|[0-9]+"
# U+2139 is the one emoji that Unicode has as a letter.
NO_LETTER = r"[^\p{L}]|\x{2139}"
EXTENSIONS = "jpe?g|jfif|png|gif|webp|bmp|tiff?|svg|avif|heic|ico|psd|cr2|nef|pdf|mp4|mov"
FILE = rf"[!-~]+\.(?:{EXTENSIONS})"
CAMERA = "[a-z]{1,4}[-_]?[0-9]{3,}(?:[-_][a-z0-9]+)*"
URL = r"(?:https?://|www\.)\S+"
WITHOUT_LANGUAGE = rf"(?i)\A(?:(?:{NO_LETTER})*|\s*(?:{FILE}|{CAMERA}|{URL})\s*)\z"


def has_no_language(texts: pa.StringArray) -> pa.BooleanArray:
    """Whether a text has no letter (empty, digits, emoji) or is only the name of a file, or a URL; null for null."""
    return pc.match_substring_regex(texts, WITHOUT_LANGUAGE)


def lines(texts: pa.StringArray, clean: str) -> pa.StringArray:
    """Each text in one line: ``none`` as it is, ``lower`` in lower case, ``letters`` without digits and URLs, too."""
    texts = pc.replace_substring_regex(texts, BREAKS, " ")
    if clean == "letters":
        texts = pc.replace_substring_regex(texts, NUMBERS_AND_URLS, " ")
    return texts if clean == "none" else pc.utf8_lower(texts)
