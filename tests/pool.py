"""A small pool that has everything: heads and tails, exact and near duplicates, several languages, images."""

import io
import random
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
from PIL import Image

PREFIX = "https://pool.test/pictures/"
WORDS = {
    "en": "photo of the a red blue small large cat dog horse tree house river with and in on near old new bright dark".split(),
    "de": "foto von der ein rot blau klein hund katze pferd baum haus fluss mit und im am alt neu hell dunkel".split(),
    "zh": ["猫", "狗", "红色", "蓝色", "房子", "大", "小", "树", "河", "照片", "，", "的"],
}
RARE = {"en": "axolotl quokka narwhal pangolin", "de": "axolotl schnabeltier nashorn", "zh": "鸭嘴兽 犀牛 熊猫"}


def rows(count: int = 1500, seed: int = 0) -> list[tuple[str, str, str]]:
    """(url, text, language) rows with repeats and near-repeats."""
    rng = random.Random(seed)
    found = []
    for i in range(count):
        language = rng.choices(["en", "de", "zh", "fr"], [6, 3, 2, 1])[0]
        words = WORDS.get(language, WORDS["en"])
        weights = [1 / (k + 1) for k in range(len(words))]
        picked = rng.choices(words, weights, k=rng.randint(1, 9))
        if rng.random() < 0.05:
            picked.append(rng.choice(RARE.get(language, RARE["en"]).split()))
        text = ("" if language == "zh" else " ").join(picked) + rng.choice(["", "", ".", "!", "\n", ", yes"])
        found.append((f"{PREFIX}{rng.randrange(count // 3):05d}.png", text, language))
        if rng.random() < 0.1:  # boilerplate: long and nearly the same
            found.append(
                (
                    f"{PREFIX}{i:05d}.png",
                    f"stock photo of a {rng.choice(['red', 'blue'])} house near the old river",
                    "en",
                )
            )
        if rng.random() < 0.1:
            found.append(found[rng.randrange(len(found))])
    return found


def write_pool(folder: Path, files: int = 1, count: int = 1500, shuffle: int | None = None) -> Path:
    """Writes the pool as ``files`` Parquet files, in another order where ``shuffle`` is given; returns the folder."""
    found = rows(count)
    if shuffle is not None:
        random.Random(shuffle).shuffle(found)
    folder.mkdir(parents=True)
    for part in range(files):
        urls, texts, languages = (list(column) for column in zip(*found[part::files], strict=True))
        pq.write_table(pa.table({"url": urls, "text": texts, "language": languages}), folder / f"{part:03d}.parquet")
    return folder


def write_images(folder: Path, count: int = 1700) -> Path:
    """An image for most URLs of the pool; some are missing, some broken."""
    folder.mkdir(parents=True)
    for i in range(count):
        if i % 50 == 7:
            continue
        out = io.BytesIO()
        Image.new("RGB", (8, 6), (i % 256, i // 7 % 256, 90)).save(out, "PNG")
        content = out.getvalue() if i % 50 != 11 else b"no picture"
        (folder / f"{i:05d}.png").write_bytes(content)
    return folder


def write_entries(folder: Path) -> Path:
    """A list for each of en, de and zh; none for fr."""
    folder.mkdir(parents=True)
    for language, words in WORDS.items():
        phrases = ["stock photo", "the cat", "old river"] if language == "en" else []
        lines = [*words, *RARE[language].split(), *phrases]
        (folder / f"{language}.txt").write_text("\n".join(lines) + "\n", encoding="utf-8")
    return folder


RECIPE = """
name: test
seed: 7
input: {paths: [%(pool)s]}
language: {identify: column}
entries: %(entries)s
match: {form: metaclip2}
dedupe: {threshold: 0.7, shingle: 3, min_words: 4, keep_per_cluster: 3}
balance: {t: 12}
images: {root: %(images)s, prefix: "https://pool.test/pictures/"}
shards: {samples: 100}
"""


def write_recipe(folder: Path, pool: Path, more: str = "") -> Path:
    """A recipe over the pool, with images and entry lists made in ``folder`` where they are not there yet."""
    images, entries = folder / "pictures", folder / "entries"
    if not images.exists():
        write_images(images)
        write_entries(entries)
    recipe = folder / "recipe.yaml"
    recipe.write_text(RECIPE % {"pool": pool, "entries": entries, "images": images} + more)
    return recipe
