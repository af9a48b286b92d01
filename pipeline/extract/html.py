"""The images of an HTML page, with their texts: what ``<img>`` says, lazy ones by the attributes that scripts read.

The parser is Lexbor's, of selectolax, which reads pages as the HTML standard wants it: nothing of templates, comments
and scripts is an element, and entities are characters.
"""

import re
from collections.abc import Iterator
from itertools import islice

from selectolax.lexbor import LexborHTMLParser, LexborNode

from pipeline.extract.links import MOST_CAPTION, MOST_LANGUAGE, Links, dimension
from pipeline.extract.opt_outs import ROBOTS, TDM, opted_out
from pipeline.extract.options import Extract
from pipeline.extract.srcset import largest
from pipeline.extract.urls import base_url

# Where scripts find the URL of an image that is loaded when it is seen; srcsets come after these.
LAZY = ("data-src", "data-original", "data-lazy-src")
SRCSETS = ("data-srcset", "srcset")
# An image with none of these is its `src`, a placeholder or not, where no `<picture>` has more.
ALTERNATIVES = frozenset((*LAZY, *SRCSETS))
# What stands in `src` until then: names of files, whatever their folder.
PLACEHOLDER = re.compile(
    r"^\s*+(?:$|data:|about:blank|(?:.*/)?(?:1x1|1px|pixel|spacer|blank|clear|transparent|placeholder|loading|loader|lazy|"
    r"lazyload|empty|dummy|gr[ae]y|white|none)\.(?:gif|png|svg|jpe?g|webp)(?:[?#].*)?$)",
    re.IGNORECASE | re.DOTALL,
)
MOST_SOURCES = 200
_TYPES = ("image/jpeg", "image/jpg", "image/png", "image/webp", "image/gif", "image/avif")
ATTRIBUTES = ("alt", "title", "data-image-title")
FIGCAPTION, OPEN_GRAPH = "figcaption", "og"
Attributes = dict[str, str | None]


class Page:
    """A parsed page: its base, language, what it says to robots, and its images."""

    def __init__(self, text: str, url: str):
        self.url = url
        self.tree = LexborHTMLParser(text)
        self.metas = [node.attributes for node in self.tree.tags("meta")]

    @property
    def base(self) -> str:
        """What its links are resolved against: the first ``<base href>``, else its URL."""
        for node in self.tree.tags("base"):
            if (href := node.attributes.get("href")) is not None:
                return base_url(self.url, href)
        return self.url

    @property
    def language(self) -> str | None:
        """The ``lang`` of the page, else what a meta element says."""
        named = (node.attributes.get("lang") for node in self.tree.tags("html"))
        found = next(filter(None, (*named, *self.contents("content-language", "http-equiv"))), "").strip()
        return found if found and len(found) <= MOST_LANGUAGE else None

    def contents(self, name: str, by: str = "name") -> list[str]:
        """The contents of the meta elements of a name, in lower case."""
        return [meta.get("content") or "" for meta in self.metas if (meta.get(by) or "").strip().lower() == name]

    def opted_out(self, robots: list[str], reservations: list[str]) -> str | None:
        """Why the page is not to be used: by headers (those given) or meta elements."""
        return opted_out([*robots, *self.contents(ROBOTS)], [*reservations, *self.contents(TDM)])


def add_images(page: Page, links: Links, language: str | None, out: str | None, options: Extract) -> None:
    """Adds the images of a page to the links: a row a text, or one without text. ``out``: why the page opted out."""
    links.begin(page.url, page.base, language, out)
    append = links.append
    wanted = [name for name in ATTRIBUTES if name in options.text_sources]
    captions, known = FIGCAPTION in options.text_sources, {}
    has_pictures = bool(page.tree.tags("picture"))
    for node, attributes in images(page):
        source = attributes.get("src")
        if source is None or has_pictures or not ALTERNATIVES.isdisjoint(attributes):
            source = source_of(node, attributes)
        width, height = attributes.get("width"), attributes.get("height")
        if width is not None:
            width = dimension(width)
        if height is not None:
            height = dimension(height)
        texts = [(attributes[name] or "", name) for name in wanted if name in attributes]
        if captions and (caption := figcaption(node, known)) is not None:
            texts.append((caption, FIGCAPTION))
        for text, name in texts or [(None, None)]:
            append((source, text, name, width, height))
    if OPEN_GRAPH in options.text_sources:
        for source, text in open_graph(page):
            append((source, text, OPEN_GRAPH, None, None))


def images(page: Page) -> Iterator[tuple[LexborNode, Attributes]]:
    """The image elements in order. One of ``<noscript>`` that is its lazy neighbour's twin is left out."""
    found = [(node, node.attributes) for node in page.tree.tags("img")]
    if not page.tree.tags("noscript"):
        yield from found
        return
    hidden = [_within(node, "noscript") is not None for node, _ in found]
    for at, (node, attributes) in enumerate(found):
        if hidden[at] and any(
            0 <= other < len(found) and not hidden[other] and _twins(found[other], attributes)
            for other in (at - 1, at + 1)
        ):
            continue
        yield node, attributes


def _twins(lazy: tuple[LexborNode, Attributes], attributes: Attributes) -> bool:
    """Whether a lazy image is the one that readers without scripts see: it has a URL, and no other text."""
    node, of_lazy = lazy
    if not PLACEHOLDER.match(of_lazy.get("src") or "") or PLACEHOLDER.match(source_of(node, of_lazy) or ""):
        return False
    texts = [(one.get("alt") or "").strip() for one in (of_lazy, attributes)]
    return texts[0] == texts[1] or not texts[1]


def source_of(node: LexborNode, attributes: Attributes) -> str | None:
    """The URL of an image: ``src``, or where that is a placeholder or missing what takes its place, the largest."""
    source = attributes.get("src")
    if source is not None and not PLACEHOLDER.match(source):
        return source
    for name in LAZY:
        if (found := attributes.get(name)) and not PLACEHOLDER.match(found):
            return found
    srcsets = [srcset for name in SRCSETS if (srcset := attributes.get(name))]
    parent = node.parent
    if parent is not None and parent.tag == "picture":
        srcsets += _of_picture(parent)
    return (largest(srcsets) if srcsets else None) or source


def _of_picture(picture: LexborNode) -> list[str]:
    """The srcsets of the first sources of a picture, of types that are opened."""
    found = []
    for child in islice(picture.iter(), MOST_SOURCES):
        if child.tag == "source":
            attributes = child.attributes
            kind = (attributes.get("type") or "").split(";")[0].strip().lower()
            if not kind or kind in _TYPES:
                found += [srcset for name in SRCSETS if (srcset := attributes.get(name))]
    return found


def figcaption(node: LexborNode, known: dict[int, str | None]) -> str | None:
    """The caption of the figure that an image is in; ``known``: those of figures of the page."""
    figure = _within(node, "figure")
    if figure is None:
        return None
    if figure.mem_id not in known:
        caption = figure.css_first("figcaption")
        text = caption.text() if caption is not None else None
        known[figure.mem_id] = text if text is not None and len(text) <= MOST_CAPTION else None
    return known[figure.mem_id]


def _within(node: LexborNode, tag: str) -> LexborNode | None:
    """The nearest element of a tag that a node is in."""
    while (node := node.parent) is not None:
        if node.tag == tag:
            return node
    return None


def open_graph(page: Page) -> list[tuple[str, str | None]]:
    """The images that a page is shown with elsewhere, and its text for them."""
    texts = [
        *page.contents("twitter:image:alt"), *page.contents("twitter:image:alt", "property"),
        *page.contents("og:title", "property"), *page.contents("og:title"),
    ]  # fmt: skip
    text = next((text for text in texts if text and len(text) <= MOST_CAPTION), None)
    return [(source, text) for by in ("property", "name") for source in page.contents("og:image", by)]
