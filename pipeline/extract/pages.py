"""The links of pages: most by the scan, those that it is not sure of by the parser."""

import re
from collections import Counter
from collections.abc import Callable
from typing import NamedTuple

import numpy as np
import pyarrow as pa

from pipeline.extract.construction import UNSURE
from pipeline.extract.found import NO_IMAGES, OPTED_OUT, READ
from pipeline.extract.html import ParsedPage
from pipeline.extract.lazy import SRC, TWIN
from pipeline.extract.links import NOTHING, Rows
from pipeline.extract.options import Extract
from pipeline.extract.page import FIGCAPTION, OPEN_GRAPH, add_images
from pipeline.extract.scan import text_fields
from pipeline.extract.scanned import ScannedPage, of_attributes, scanned
from pipeline.extract.spans import image_links
from pipeline.extract.tags import CHOSEN, FIELD, HIDDEN

# `image` is another name of `img` to a parser.
_IMAGE, _OPEN_GRAPH = re.compile(rb"<ima?ge?[\s/>]", re.IGNORECASE), re.compile(rb"og:image", re.IGNORECASE)
_CAPTION = re.compile(rb"<figcaption", re.IGNORECASE)


class Answer(NamedTuple):
    """A page in UTF-8, the number of its record, its URL, and what the headers of its answer say of it."""

    number: int
    url: str
    text: bytes
    robots: list[str]
    reservations: list[str]
    language: str | None


def page_links(
    answers: list[Answer], options: Extract, at: Callable[[int | None], None], pages: Counter[str]
) -> pa.RecordBatch:
    """The links (``LINKS``) of pages; counts what became of them. ``at``: see ``warc.Answers``."""
    graph, captions = (source in options.text_sources for source in (OPEN_GRAPH, FIGCAPTION))
    texts = [b"" if b"\0" in text or (captions and _CAPTION.search(text)) else text for _, _, text, *_ in answers]
    found = scanned(texts, graph)
    rows, of_pages, is_plain, image, other = Rows(), [], bytearray(len(answers)), 0, 0
    for place, (answer, text, (count, others, odd)) in enumerate(
        zip(answers, texts, found.counts.tolist(), strict=True)
    ):
        first_image, first_other, image, other = image, other, image + max(count, 0), other + others
        is_sure = count != UNSURE and text is answer.text
        if not (is_sure and count) and not _may_have_images(answer.text, graph):
            pages[NO_IMAGES] += 1
            of_pages.append(NOTHING)
            continue
        at(answer.number)
        is_plain[place] = is_sure and not odd and not graph
        if is_sure:
            its_images = [] if is_plain[place] else found.images[first_image:image].tolist()
            page = ScannedPage(found.joined, its_images, found.others[first_other:other])
        else:
            page = ParsedPage(answer.text.decode("utf-8", "replace"))
        out = page.opted_out(answer.robots, answer.reservations) if options.opt_outs else None
        of_pages.append((answer.url, page.base(answer.url), page.language or answer.language, out))
        if not is_plain[place]:
            rows.begin(place)
            before = len(rows)
            add_images(page, rows, options)
            count = len(rows) - before
        at(None)
        pages[OPTED_OUT if out else READ if count else NO_IMAGES] += 1
    places = np.repeat(np.arange(len(answers)), np.maximum(found.counts[:, 0], 0))
    plain = np.frombuffer(is_plain, bool)[places] & (found.images[:, HIDDEN] < TWIN)
    places, spans = (places, found.images) if plain.all() else (places[plain], found.images[plain])
    spans[:, SRC : SRC + FIELD] = spans[:, CHOSEN : CHOSEN + FIELD]
    links, places = image_links(found.data, places, spans, of_pages, text_fields(options.text_sources), of_attributes)
    if not len(rows):
        return links
    others, of_others = rows.links(of_pages)
    order = np.argsort(np.concatenate([places, of_others]), kind="stable")
    (links,) = pa.Table.from_batches([links, others]).take(pa.array(order)).combine_chunks().to_batches()
    return links


def _may_have_images(text: bytes, graph: bool) -> bool:
    return bool(_IMAGE.search(text) or (graph and _OPEN_GRAPH.search(text)))
