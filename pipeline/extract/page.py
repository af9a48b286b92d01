"""The images of a page, with their texts: what ``<img>`` says, lazy ones by the attributes that scripts read.

A page is what a parser (``html.py``) or a scan (``scanned.py``) found of it.
"""

from collections.abc import Iterator
from typing import Any

from pipeline.extract.links import MOST_CAPTION, MOST_LANGUAGE, Rows, dimension
from pipeline.extract.opt_outs import ROBOTS, TDM, opted_out
from pipeline.extract.options import Extract
from pipeline.extract.placeholders import PLACEHOLDER
from pipeline.extract.srcset import largest
from pipeline.extract.urls import base_url

# Where scripts find the URL of an image that is loaded when it is seen; srcsets come after these.
LAZY = ("data-src", "data-original", "data-lazy-src")
SRCSETS = ("data-srcset", "srcset")
# An image with none of these is its `src`, a placeholder or not, where no `<picture>` has more.
ALTERNATIVES = frozenset((*LAZY, *SRCSETS))
MOST_SOURCES = 200
_TYPES = ("image/jpeg", "image/jpg", "image/png", "image/webp", "image/gif", "image/avif")
ATTRIBUTES = ("alt", "title", "data-image-title")
FIGCAPTION, OPEN_GRAPH = "figcaption", "og"
Attributes = dict[str, str | None]


class Page:
    """What was found of a page: its ``html``, ``base`` and ``meta`` elements and its images, in order.

    An image is what it is known by here, and its attributes.
    """

    def __init__(self, roots: list[Attributes], bases: list[Attributes], metas: list[Attributes]):
        self.roots, self.bases, self.metas = roots, bases, metas
        self.images: list[tuple[Any, Attributes]] = []
        # Whether an image may be in `<noscript>`, or in `<picture>`.
        self.has_noscript = self.has_picture = False

    def is_hidden(self, image: Any) -> bool:
        """Whether an image is in ``<noscript>``."""
        raise NotImplementedError

    def sources(self, image: Any) -> list[Attributes]:
        """The sources among the first children of the ``<picture>`` that an image is a child of."""
        raise NotImplementedError

    def caption(self, image: Any) -> str | None:
        """The caption of the figure that an image is in."""
        raise NotImplementedError

    def base(self, url: str) -> str:
        """What its links are resolved against: the first ``<base href>``, else its ``url``."""
        named = next((href for base in self.bases if (href := base.get("href")) is not None), None)
        return url if named is None else base_url(url, named)

    @property
    def language(self) -> str | None:
        """The ``lang`` of the page, else what a meta element says."""
        named = [root.get("lang") for root in self.roots] + self.contents("content-language", "http-equiv")
        found = next(filter(None, named), "").strip()
        return found if found and len(found) <= MOST_LANGUAGE else None

    def contents(self, name: str, by: str = "name") -> list[str]:
        """The contents of the meta elements of a name, in lower case."""
        return [meta.get("content") or "" for meta in self.metas if (meta.get(by) or "").strip().lower() == name]

    def opted_out(self, robots: list[str], reservations: list[str]) -> str | None:
        """Why the page is not to be used: by headers (those given) or meta elements."""
        robots, reservations = [*robots, *self.contents(ROBOTS)], [*reservations, *self.contents(TDM)]
        return opted_out(robots, reservations) if robots or reservations else None


def add_images(page: Page, rows: Rows, options: Extract) -> None:
    """Adds the images of a page: a row a text, or one without text."""
    append = rows.append
    wanted = [name for name in ATTRIBUTES if name in options.text_sources]
    captions = FIGCAPTION in options.text_sources
    for image, attributes in shown(page):
        source = attributes.get("src")
        if source is None or page.has_picture or not ALTERNATIVES.isdisjoint(attributes):
            source = source_of(page, image, attributes)
        width, height = attributes.get("width"), attributes.get("height")
        if width is not None:
            width = dimension(width)
        if height is not None:
            height = dimension(height)
        texts = [(attributes[name] or "", name) for name in wanted if name in attributes]
        if captions and (caption := page.caption(image)) is not None:
            texts.append((caption, FIGCAPTION))
        for text, name in texts or [(None, None)]:
            append((source, text, name, width, height))
    if OPEN_GRAPH in options.text_sources:
        for source, text in open_graph(page):
            append((source, text, OPEN_GRAPH, None, None))


def shown(page: Page) -> Iterator[tuple[Any, Attributes]]:
    """The image elements in order. One of ``<noscript>`` that is its lazy neighbour's twin is left out."""
    found = page.images
    if not page.has_noscript:
        yield from found
        return
    hidden = [page.is_hidden(image) for image, _ in found]
    for at, (image, attributes) in enumerate(found):
        if hidden[at] and any(
            0 <= other < len(found) and not hidden[other] and _twins(page, found[other], attributes)
            for other in (at - 1, at + 1)
        ):
            continue
        yield image, attributes


def _twins(page: Page, lazy: tuple[Any, Attributes], attributes: Attributes) -> bool:
    """Whether a lazy image is the one that readers without scripts see: it has a URL, and no other text."""
    image, of_lazy = lazy
    if not PLACEHOLDER.match(of_lazy.get("src") or "") or PLACEHOLDER.match(source_of(page, image, of_lazy) or ""):
        return False
    texts = [(one.get("alt") or "").strip() for one in (of_lazy, attributes)]
    return texts[0] == texts[1] or not texts[1]


def source_of(page: Page, image: Any, attributes: Attributes) -> str | None:
    """The URL of an image: ``src``, or where that is a placeholder or missing what takes its place, the largest."""
    source = attributes.get("src")
    if source is not None and not PLACEHOLDER.match(source):
        return source
    for name in LAZY:
        if (found := attributes.get(name)) and not PLACEHOLDER.match(found):
            return found
    srcsets = [srcset for name in SRCSETS if (srcset := attributes.get(name))]
    for attributes in page.sources(image):
        kind = (attributes.get("type") or "").split(";")[0].strip().lower()
        if not kind or kind in _TYPES:
            srcsets += [srcset for name in SRCSETS if (srcset := attributes.get(name))]
    return (largest(srcsets) if srcsets else None) or source


def open_graph(page: Page) -> list[tuple[str, str | None]]:
    """The images that a page is shown with elsewhere, and its text for them."""
    texts = [
        *page.contents("twitter:image:alt"), *page.contents("twitter:image:alt", "property"),
        *page.contents("og:title", "property"), *page.contents("og:title"),
    ]  # fmt: skip
    text = next((text for text in texts if text and len(text) <= MOST_CAPTION), None)
    return [(source, text) for by in ("property", "name") for source in page.contents("og:image", by)]
