"""A page by a parser, for what the scan is not sure of.

The parser is Lexbor's, of selectolax, which reads pages as the HTML standard wants it: nothing of templates, comments
and scripts is an element, and entities are characters.
"""

from itertools import islice

from selectolax.lexbor import LexborHTMLParser, LexborNode

from pipeline.extract.links import MOST_CAPTION
from pipeline.extract.page import MOST_SOURCES, Attributes, Page


class ParsedPage(Page):
    """A page that Lexbor parsed; images are nodes of its tree."""

    def __init__(self, text: str):
        self.tree = LexborHTMLParser(text)
        super().__init__(*([node.attributes for node in self.tree.tags(tag)] for tag in ("html", "base", "meta")))
        self.images = [(node, node.attributes) for node in self.tree.tags("img")]
        self.has_noscript, self.has_picture = (bool(self.tree.tags(tag)) for tag in ("noscript", "picture"))
        self.captions: dict[int, str | None] = {}

    def is_hidden(self, image: LexborNode) -> bool:
        """Whether an image is in ``<noscript>``."""
        return _within(image, "noscript") is not None

    def sources(self, image: LexborNode) -> list[Attributes]:
        """The sources among the first children of the ``<picture>`` that an image is a child of."""
        parent = image.parent
        if parent is None or parent.tag != "picture":
            return []
        return [child.attributes for child in islice(parent.iter(), MOST_SOURCES) if child.tag == "source"]

    def caption(self, image: LexborNode) -> str | None:
        """The caption of the figure that an image is in."""
        figure = _within(image, "figure")
        if figure is None:
            return None
        if figure.mem_id not in self.captions:
            caption = figure.css_first("figcaption")
            text = caption.text() if caption is not None else None
            self.captions[figure.mem_id] = text if text is not None and len(text) <= MOST_CAPTION else None
        return self.captions[figure.mem_id]


def _within(node: LexborNode, tag: str) -> LexborNode | None:
    """The nearest element of a tag that a node is in."""
    while (node := node.parent) is not None:
        if node.tag == tag:
            return node
    return None
