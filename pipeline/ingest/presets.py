"""The column layouts of well-known pools.

LAION and COYO: their Parquet metadata. DataComp: CommonPool's metadata. cc3m and cc12m: the published TSV files, which
have no header. img2dataset: the Parquet beside its shards.
"""

from dataclasses import dataclass, field

from pipeline.recipe import Input, Recipe

FIELDS = ("url", "text", "text_source", "page_url", "page_language", "language", "width", "height", "source_uid")


@dataclass(frozen=True)
class Preset:
    """Which input column each field of a pair comes from; ``names`` are the columns of a text file without header."""

    columns: dict[str, str]
    names: tuple[str, ...] | None = None
    optional: frozenset[str] = field(default=frozenset())


PRESETS = {
    "laion": Preset(
        {"url": "URL", "text": "TEXT", "width": "WIDTH", "height": "HEIGHT", "source_uid": "SAMPLE_ID"},
        optional=frozenset({"width", "height", "source_uid"}),
    ),
    "datacomp": Preset(
        {"url": "url", "text": "text", "width": "original_width", "height": "original_height", "source_uid": "uid"},
        optional=frozenset({"width", "height", "source_uid"}),
    ),
    "cc3m": Preset({"url": "url", "text": "caption"}, names=("caption", "url")),
    "cc12m": Preset({"url": "url", "text": "caption"}, names=("url", "caption")),
    "coyo": Preset(
        {"url": "url", "text": "text", "width": "width", "height": "height", "source_uid": "id"},
        optional=frozenset({"width", "height", "source_uid"}),
    ),
    "img2dataset": Preset(
        {"url": "url", "text": "caption", "width": "original_width", "height": "original_height", "source_uid": "key"},
        optional=frozenset({"width", "height", "source_uid"}),
    ),
}

# Without a preset: the field's own name, and the usual spellings of the two that every pool has.
PLAIN = Preset({name: name for name in FIELDS}, optional=frozenset(FIELDS) - {"url", "text"})


def resolve(preset: str | None, mapping: dict[str, str], language_column: bool) -> Preset:
    """The preset with a recipe's own ``columns`` put over it; those named by the user are not optional.

    ``language_column``: the language is a column of the input (``language.identify: column``), so it must be there.
    """
    base = PRESETS[preset] if preset else PLAIN
    columns = base.columns | mapping
    optional = base.optional - set(mapping)
    if language_column:
        columns.setdefault("language", "language")
        optional -= {"language"}
    else:
        columns.pop("language", None)
    return Preset(columns, base.names, frozenset(optional))


def crawl_input(recipe: Recipe, extracted: list[str]) -> Input:
    """The pairs of a crawl as a pool. What there is of a language column is what the page says."""
    by_page = {"language": "page_language"} if recipe.language.identify == "column" else {}
    return Input(paths=extracted, format="parquet", columns=by_page, max_text_bytes=recipe.input.max_text_bytes)
