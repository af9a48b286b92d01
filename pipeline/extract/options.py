"""The recipe's section ``extract``."""

from typing import Annotated, Literal

from pydantic import Field, StrictBool, StrictInt, StrictStr

from pipeline.recipe_file import Section

# The values of ``input.format`` for crawls, and the folder of the output with the pairs of their pages.
KINDS = ("wat", "warc")
EXTRACTED = "extracted"
TextSource = Literal["alt", "title", "data-image-title", "figcaption", "og"]


class Extract(Section):
    """What of a crawl's pages becomes pairs. ``prefix``: put before the lines of files that list crawl files.

    Pages of more than ``most_page_bytes``, or that take more than ``most_seconds`` to read, are left out.
    """

    prefix: StrictStr | None = None
    text_sources: Annotated[list[TextSource], Field(min_length=1)] = Field(
        default_factory=lambda: ["alt", "title", "data-image-title"]
    )
    opt_outs: StrictBool = True
    most_page_bytes: Annotated[StrictInt, Field(ge=1)] = 20_000_000
    most_seconds: Annotated[float, Field(gt=0)] = 10.0
