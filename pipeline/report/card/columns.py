"""What the columns of the tables mean, and the names of their types."""

import pyarrow as pa
import pyarrow.types as kinds

MEANINGS = {
    "pair_id": "identifies the pair: a hash of URL and text",
    "image_id": "identifies the image: a hash of its URL",
    "url": "URL of the image",
    "text": "the text of the image (alt-text), as it is in the pool",
    "text_source": "where in the page the text stood: alt, title …",
    "page_url": "URL of the page that shows the image",
    "page_language": "the language that the page declares",
    "language": "language of the text: the name of its entry list, else a language code; und where it is not known",
    "language_score": "probability of the language, where a model identified it",
    "width": "width of the image in pixels",
    "height": "height of the image in pixels",
    "source_uid": "the identifier that the pool gives the image or sample",
    "copies": "rows of the pool that are this pair",
    "entry_list": "the list of entries that the text was matched with, named by its language; null where there is none",
    "entries": "entries that the text matches: their entry_id in entry_counts",
    "draw": "a number from 0 to 1, a hash of seed and pair: balancing keeps the pair if it is below keep_probability",
    "keep_probability": "probability by which balancing keeps the pair",
    "cluster_id": "identifies the cluster of near-duplicates",
    "kept": "whether the pair stays",
    "entry_id": "the place of the entry in its list, from 0",
    "entry": "the entry: a word, a phrase or a title",
    "count": "pairs that match the entry, less near-duplicates",
    "probability": "the entry's own probability, min(1, t / count)",
    "group_factor": "what the keep probability of a pair with the entry is multiplied by: its group's share is capped",
    "t": "the threshold: an entry with more matches is thinned out to about so many",
    "tail_share": "share of the matches that are of entries with fewer than t",
    "pairs": "pairs",
    "matches": "matches of pairs and entries",
    "entries_matched": "entries with at least one match",
    "status": "success, or why there is no image",
    "error": "what went wrong, in words",
    "sha256": "SHA-256 of the image file",
    "original_width": "width before the image was resized",
    "original_height": "height before the image was resized",
    "format": "format of the image file",
    "shard": "the tar that holds the image",
    "dropped": "why the image or page was left out; null where it was not",
    "phash": "perceptual hash of the image, 64 bits in hex",
    "cluster": "the cluster of near-duplicate images",
    "pixels": "hash of the image's pixels",
    "original_sha256": "SHA-256 of the file before it was resized",
    "key": "key of the sample in its tar",
    "extension": "ending of the image's name in the tar",
    "image_offset": "where the image begins in the tar, in bytes",
    "image_size": "bytes of the image",
    "txt_offset": "where the text begins in the tar, in bytes",
    "txt_size": "bytes of the text",
    "json_offset": "where the JSON begins in the tar, in bytes",
    "json_size": "bytes of the JSON",
}
PAIR_TABLES = ("pairs", "matched", "curated", "filtered", "final")
# Where a column means something else in one table.
OF_TABLE = {
    ("entry_counts", "kept"): "pairs with the entry after balancing",
    ("final_entry_counts", "kept"): "pairs with the entry after balancing again",
    ("final_entry_counts", "count"): "estimate of the pairs that match the entry, were none of the pool thinned out",
    ("thresholds", "kept"): "pairs of the list after balancing",
    ("final_thresholds", "kept"): "pairs of the list after balancing again",
    ("thresholds", "entries"): "entries of the list",
    ("crawl_files", "path"): "path or URL of the crawl file",
    ("crawl_files", "bytes"): "bytes of the crawl file",
    ("crawl_files", "file"): "the file of extracted/ that holds its pairs",
    ("crawl_files", "records"): "records that were read",
    ("crawl_files", "pages"): "pages by what came of them",
    ("crawl_files", "links"): "image links that were found",
    ("crawl_files", "dropped"): "links that were left out, by reason",
    ("crawl_files", "pairs"): "pairs that were kept",
    ("crawl_files", "relative"): "pairs whose URL was relative to its page",
    ("crawl_files", "damage"): "what was wrong with the file; null where nothing was",
    ("images", "key"): "key of the image's sample in its tar",
    ("images", "retry_after"): "seconds after which the host wanted to be asked again",
    ("final_thresholds", "entries"): "entries of the list",
}
PLAIN = {"string": "text", "large_string": "text", "double": "float64", "float": "float32", "halffloat": "float16"}


def meaning(table: str, column: str, passed: list[str]) -> str:
    """What a column of a table means; ``passed``: the recipe's pass-through columns, of which only the pool knows."""
    if column in passed and table in PAIR_TABLES:
        return "a column of the pool, as it was there"
    return OF_TABLE.get((table, column)) or MEANINGS.get(column, "")


def type_name(kind: pa.DataType) -> str:
    """The name of an Arrow type for readers."""
    return f"list of {type_name(kind.value_type)}" if is_list(kind) else PLAIN.get(str(kind), str(kind))


def is_list(kind: pa.DataType) -> bool:
    """Whether a type is one of Arrow's lists."""
    return kinds.is_list(kind) or kinds.is_large_list(kind) or kinds.is_fixed_size_list(kind)


def is_nested(kind: pa.DataType) -> bool:
    """Whether a type has named parts or keys, also inside lists."""
    return is_nested(kind.value_type) if is_list(kind) else kinds.is_nested(kind)
