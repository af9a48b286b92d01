"""The plain text of a page of a Wikipedia dump (MediaWiki's export format), or the reason why it has none.

mwparserfromhell reads the wikitext, at about 1 MB/s and core. Of a page stay its headings, paragraphs and lists: not
templates, tables, references, formulas, galleries, files, categories.
"""

import re
import xml.etree.ElementTree as ElementTree

import mwparserfromhell

NOT_ARTICLE, REDIRECT, UNREADABLE, NO_TEXT = "not_an_article", "redirect", "unreadable_page", "no_text"
NO_PAGE = "no_page"  # what is before the first page of a dump and after the last
LEFT_OUT = {"ref", "math", "gallery", "table", "timeline", "syntaxhighlight", "source", "code", "score", "hiero",
            "chem", "imagemap", "graph", "templatestyles", "mapframe", "ce", "pre"}  # fmt: skip
PAGE_END = "</page>"


def page_text(record: str) -> tuple[str | None, str | None]:
    """The text of a record of a dump that ends before ``</page>``, and else None and the reason."""
    start = record.find("<page>")
    if start < 0:
        return None, NO_PAGE
    try:
        page = ElementTree.fromstring(record[start:] + PAGE_END)
    except ElementTree.ParseError:
        return None, UNREADABLE
    if page.findtext("ns", "0") != "0":
        return None, NOT_ARTICLE
    if page.find("redirect") is not None:
        return None, REDIRECT
    text = plain_text(page.findtext("revision/text") or "")
    return (text, None) if text.strip() else (None, NO_TEXT)


def plain_text(wikitext: str) -> str:
    """What a reader sees of wikitext, but for what is set apart: one line a paragraph."""
    code = mwparserfromhell.parse(wikitext, skip_style_tags=True)
    for heading in code.filter_headings(recursive=False):
        code.replace(heading, f"\n{heading.title.strip_code()}\n")
    for tag in code.filter_tags(matches=lambda node: str(node.tag).strip().lower() in LEFT_OUT):
        _remove(code, tag)
    for link in code.filter_wikilinks(matches=_left_out):
        _remove(code, link)
    text = code.strip_code(normalize=True, collapse=False)
    return re.sub(r"'{2,}|^[*#:;]+|__[A-Z]+__", "", text, flags=re.MULTILINE)


def _left_out(node) -> bool:
    """Whether a node is a link to a file, a category or another namespace, or to another language's page."""
    if not isinstance(node, mwparserfromhell.nodes.Wikilink):
        return False
    title = str(node.title).strip()
    # A title with a colon and no space after it has a namespace: "Star Trek: Picard" has none.
    return bool(re.match(r"[^:\s]+:\S", title))


def _remove(code, node) -> None:
    try:
        code.remove(node)
    except ValueError:  # gone with what it was in
        return
