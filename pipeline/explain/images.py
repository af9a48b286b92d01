"""What became of the image of a pair: fetched or not, looked at by the filter, in which shard."""

import re
from typing import Any

import pyarrow.dataset as pads
import pyarrow.parquet as pq

from pipeline import storage
from pipeline.explain.asked import Set
from pipeline.match.spacing import KANA, UNSPACED_SCRIPTS
from pipeline.recipe_file import found_path
from pipeline.shards.tar import sample_key

SPACE = r"[ \t\n\x0b\f\r]"


def fetched(found: Set, image_id: str) -> dict[str, Any] | None:
    """What came of asking for an image; None where it was not asked for."""
    rows = _where(found, "images", "image_id", image_id)
    keep = ("url", "status", "error", "sha256", "width", "height", "shard")
    return {name: rows[0][name] for name in keep if rows[0][name] is not None} if rows else None


def looked_at(found: Set, image_id: str) -> dict[str, Any] | None:
    """What the filter saw of an image, with those that were kept in its place; None where it did not look."""
    rows = _where(found, "image_hashes", "image_id", image_id)
    if not rows:
        return None
    image = {name: value for name, value in rows[0].items() if value is not None and name != "image_key"}
    same = {"same_bytes": "sha256", "same_pixels": "pixels", "near_image": "cluster"}.get(image.get("dropped"))
    if same and same in image:
        others = _where(found, "image_hashes", same, image[same])
        image["kept_instead"] = sorted(row["image_id"] for row in others if row["dropped"] is None)
    return image


def _where(found: Set, table: str, column: str, value: str) -> list[dict[str, Any]]:
    """The rows of a table of images with a value. These tables lie in no order: one column of all is read."""
    if not found.output.has(table):
        return []
    filesystem, folder = storage.open_filesystem(storage.join(found.output.folder, table))
    rows = pads.dataset(folder, filesystem=filesystem, format="parquet")
    return rows.to_table(filter=pads.field(column) == value).to_pylist()


def text_reasons(found: Set, pair: dict[str, Any]) -> list[tuple[str, str]]:
    """The rules of the filter for texts that a pair breaks, in their order, and how."""
    options, reasons = found.recipe.filter, []
    text = pair["text"]
    words = len([word for word in re.split(f"{SPACE}+", text.strip(" ")) if word])
    letters = len(re.sub(SPACE, "", text))
    unspaced = len(re.findall(f"[{UNSPACED_SCRIPTS}{KANA}]", text))
    counted = max(words, letters / 2 if 2 * unspaced > letters else 0)
    if counted < options.min_words:
        reasons.append(("few_words", f"{counted:g} words, filter.min_words is {options.min_words}"))
    if (characters := len(text.strip(" "))) < options.min_characters:
        reasons.append(
            ("few_characters", f"{characters} characters, filter.min_characters is {options.min_characters}")
        )
    if options.max_words is not None and counted > options.max_words:
        reasons.append(("many_words", f"{counted:g} words, filter.max_words is {options.max_words}"))
    if found.pool != "pairs":
        return reasons
    for reason, kind, most, key in (
        ("many_texts", "image_id", options.texts_per_image, pair["image_id"]),
        ("many_images", "text", options.images_per_text, text),
    ):
        if most is not None and (count := len(found.pairs_of(kind, key))) > most:
            what = "texts of this image" if kind == "image_id" else "images of this text"
            reasons.append((reason, f"{count:,} {what} in the pool, {most:,} are allowed"))
    return reasons


def shard_of(found: Set, pair_id: int) -> dict[str, Any] | None:
    """The shard of a pair and where its members are in it; None where it is in none.

    Shards are in the order of keys, so that a few footers tell which one it is.
    """
    given = found.recipe.shards.folder
    folder = storage.join(found.output.folder, "shards") if given is None else found_path(given)
    names = sorted(name for name in storage.names(folder) if name.endswith(".parquet"))
    key, low, high = sample_key(pair_id), 0, len(names) - 1
    while low <= high:
        middle = (low + high) // 2
        filesystem, inner = storage.open_filesystem(storage.join(folder, names[middle]))
        with pq.ParquetFile(filesystem.open_input_file(inner)) as file:
            keys = file.read(["key"])["key"]
            if not len(keys) or key > keys[-1].as_py():
                low = middle + 1
            elif key < keys[0].as_py():
                high = middle - 1
            else:
                rows = [row for row in file.read().to_pylist() if row["key"] == key]
                tar = names[middle].replace(".parquet", ".tar")
                where = f"shards/{tar}" if given is None else storage.join(folder, tar)
                return {"shard": where} | rows[0] if rows else None
    return None
