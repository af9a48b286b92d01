"""What is added after something was taken out, and taken out after something was added, gives the set of one run over
all input without those rows; what was taken out does not come back with an append."""

import errno
import json
import os
import random
import shutil
from pathlib import Path

import pytest

from benchmarks.compare import read_texts
from pipeline import storage
from pipeline.append import append
from pipeline.command.verify import findings
from pipeline.errors import PipelineError
from pipeline.removal import remove
from pipeline.remove.leftovers import BEFORE
from pipeline.remove.work import unfinished
from tests.e2e.conftest import check, digests, run, table
from tests.e2e.test_append import WHOLE, told, write_rows
from tests.e2e.test_remove import write_list
from tests.e2e.test_remove_kills import killed_at
from tests.extract.files import image, metadata, packed
from tests.pool import PREFIX, rows
from tests.remove.held import holding, told_of

TABLES = ("curated", "shards", "entry_counts", "thresholds", "clusters", "matched/_counts", "clusters/_counts")
SETTINGS = {
    "sampled": [],
    "capped": ["balance.mode=cap", "dedupe.scope=image"],
    "one text": ["balance.texts_per_image=one"],
    "random": ["match.unmatched=keep", "balance.mode=random", "balance.size=500"],
    "raw": ["match.unmatched=keep", "balance.mode=none", "dedupe.scope=none"],
    "filtered": ["filter={min_words: 3, exact_duplicates: true}", "rebalance={t: 9}"],
    "match first": ["language.identify=fasttext", "language.match_first=true", "entries={en: %(entries)s/en.txt}"],
}
# In this order, over the files a, b and c; c has all that was taken out once more.
ORDERS = {
    "remove, append": ("remove", "b", "c"),
    "append, remove": ("b", "remove", "c"),
    "rebalanced": ("b", "rebalance", "c"),
    "twice": ("remove", "b", "remove too", "c"),
}


def chained(number: int) -> list[str]:
    """Texts of which the one in the middle is near the others, and those are not near each other."""
    rng = random.Random(number)
    words = ["".join(rng.choices("abcdefghijklmnopqrstuvwxyz", k=7)) for _ in range(36)]
    words[15:20] = "a cat near the river".split()
    return [" ".join(words[start : start + 30]) for start in (0, 3, 6)]


def pool() -> tuple[list[list[tuple[str, str, str]]], list[str], list[str]]:
    """The rows of three files, and lists of what goes: texts that held others together, and URLs."""
    found, middle = rows(1500), []
    for number in range(12):
        texts = chained(number)
        middle.append(texts[1])
        found[number * 60 : number * 60] = [(f"{PREFIX}{900 + number:05d}.png", text, "en") for text in texts]
    parts = [found[:1000], found[980:1400], found[1400:]]
    urls = sorted({url for url, _, _ in found[100:900:20]})
    gone = [row for row in found if row[0] in urls or row[1] in middle]
    parts[2] = parts[2] + gone
    return parts, [*middle, *urls[:20]], urls[20:]


def without(parts: list, gone: list[str], folder: Path) -> list[str]:
    """Files of the rows that are none of those that go."""
    folder.mkdir()
    left = [[row for row in part if not {row[0], row[1]} & {*gone}] for part in parts]
    return [write_rows(folder / f"{at}.parquet", part) for at, part in enumerate(left)]


def check_whole(recipe: Path, output: Path, overrides: list[str], inputs: list[str]) -> None:
    """The set has no findings, and is up to date with its recipe."""
    assert list(findings(str(output))) == []
    again = run(recipe, output, *overrides, inputs=inputs)
    assert all(line["skipped"] for line in again["stages"])


def accounts(summary: dict, overrides: list[str]) -> list[dict]:
    """Those of all stages. What is identified after matching is not known of a pair that went: there the sum is right."""
    lines = told(summary)
    if "language.match_first=true" in overrides:
        lines[1]["dropped"] = sum(lines[1]["dropped"].values())
    return lines


def check_order(recipe: Path, folder: Path, overrides: list[str], steps: tuple[str, ...], given, capsys) -> Path:
    """Takes the steps, and holds what is there in the end against one run; returns the output."""
    parts, first, second = given
    output, files = folder / "output", {}
    for name, part in zip("abc", parts, strict=True):
        files[name] = write_rows(folder / f"{name}.parquet", part)
    run(recipe, output, *overrides, inputs=[files["a"]])
    asked, inputs = ([*first, *second] if "remove too" not in steps else first), [files["a"]]
    for step in steps:
        if step in files:
            append(str(output), [files[step]])
            inputs.append(files[step])
        else:
            file = write_list(folder, *(second if step == "remove too" else asked))
            remove(str(output), file, rebalance=step == "rebalance")
        check_whole(recipe, output, overrides, inputs)
    assert WHOLE not in capsys.readouterr().out
    gone = [*first, *second]
    run(recipe, folder / "scratch", *overrides, inputs=without(parts, gone, folder / "less"))
    tables = [*TABLES, *(name for name in ("filtered", "final") if (output / name).exists())]
    assert digests(output, *tables) == digests(folder / "scratch", *tables)
    left = {word for row in table(folder / "scratch", "pairs").to_pylist() for word in (row["url"], row["text"])}
    needles = [word.encode() for word in gone if not any(word in other for other in left)]
    assert needles
    assert holding(output, needles) == []
    was = json.loads((output / "summary.json").read_text())
    again = run(recipe, output, *overrides, inputs=inputs, force=True)
    assert accounts(again, overrides) == accounts(was, overrides)
    assert digests(output, *tables) == digests(folder / "scratch", *tables)
    return output


@pytest.mark.slow
@pytest.mark.parametrize("order", ORDERS)
@pytest.mark.parametrize("name", SETTINGS)
def test_it_is_a_run_without_what_was_taken_out(work, tmp_path, capsys, name, order):
    overrides = [setting % {"entries": work / "entries"} for setting in SETTINGS[name]]
    check_order(work / "recipe.yaml", tmp_path, overrides, ORDERS[order], pool(), capsys)


@pytest.mark.slow
def test_captions_in_four_languages(shared, tmp_path, capsys):
    (tmp_path / "entries").mkdir()
    found = []
    for language in ("en", "de", "fr", "cs"):
        texts = read_texts(shared / "data" / "captions" / f"multi30k-{language}.txt.zst")[:6000]
        words = sorted({word for text in texts[:2000] for word in text.split()})
        (tmp_path / "entries" / f"{language}.txt").write_text("\n".join(words) + "\n", encoding="utf-8")
        found += [(f"https://pool.test/{at // 2}.jpg", text, language) for at, text in enumerate(texts)]
    rng = random.Random(1)
    rng.shuffle(found)
    gone = rng.sample(found, 400)
    urls, texts = sorted({url for url, _, _ in gone[:200]}), sorted({text for _, text, _ in gone[200:]})
    parts = [found[:18_000], found[17_500:21_000], found[21_000:] + gone]
    (tmp_path / "recipe.yaml").write_text(
        "name: captions\nlanguage: {identify: column}\ninput: {columns: {language: language}}\n"
        f"entries: {tmp_path}/entries\nmatch: {{form: metaclip2}}\nbalance: {{t: 30}}\ndedupe: {{threshold: 0.6}}\n"
    )
    output = check_order(tmp_path / "recipe.yaml", tmp_path, [], ("remove", "b", "c"), (parts, texts, urls), capsys)
    check(shared, output)


@pytest.mark.slow
def test_a_crawl_is_added_to_a_store_that_something_was_taken_out_of(tmp_path, capsys):
    """The files that were read are known, though the removal wrote them again; new ones alone are read."""
    texts = [f"a photo of a {'red' if at % 2 else 'blue'} cat by the river, number {at}" for at in range(40)]
    gone, files = texts[7], {}
    for name, part in (("a", texts), ("b", texts[5:20]), ("c", [*texts[:9], "a new dog"])):
        for kind, left in (("", part), ("less-", [text for text in part if text != gone])):
            # A place is that of a text, so that both have the same pairs.
            links = [image(f"/{name}/{part.index(text)}.jpg", text) for text in left]
            files[kind + name] = tmp_path / f"{kind}{name}.wat.gz"
            files[kind + name].write_bytes(packed(metadata(links)))
    (tmp_path / "en.txt").write_text("cat\ndog\nphoto\nriver\n")
    recipe = tmp_path / "recipe.yaml"
    recipe.write_text(
        f"name: crawl\ninput: {{format: wat}}\nlanguage: {{identify: none}}\nentries: {{en: {tmp_path}/en.txt}}\n"
        "balance: {t: 9}\n"
    )
    output = tmp_path / "output"
    run(recipe, output, inputs=[str(files["a"])])
    remove(str(output), write_list(tmp_path, gone))
    inputs = [str(files["a"])]
    for name in "bc":
        append(str(output), [str(files[name])])
        inputs.append(str(files[name]))
        check_whole(recipe, output, [], inputs)
    assert "What is there cannot be added to" not in capsys.readouterr().out
    run(recipe, tmp_path / "scratch", inputs=[str(files[f"less-{name}"]) for name in "abc"])
    assert digests(output, "curated", "entry_counts", "thresholds") == digests(
        tmp_path / "scratch", "curated", "entry_counts", "thresholds"
    )
    assert holding(output, [gone.encode()]) == []


@pytest.mark.slow
def test_what_a_killed_append_left_goes_too(finished, work, tmp_path):
    """The table of the pairs before it, by which the next run tells what came and went."""
    output = shutil.copytree(finished, tmp_path / "output")
    shutil.copytree(output / "curated", output / BEFORE)
    row = table(output, "curated").to_pylist()[0]
    remove(str(output), write_list(tmp_path, row["url"]))
    assert holding(output, told_of(row)[:1]) == []
    assert "change" not in run(work / "recipe.yaml", output)


def test_a_cluster_that_a_removed_text_held_together_is_none_after_an_append(work, tmp_path):
    texts = chained(2)
    given = [(f"{PREFIX}{at:05d}.png", text, "en") for at, text in enumerate([*texts, "a cat"])]
    files = [write_rows(tmp_path / f"{name}.parquet", part) for name, part in (("a", given[:3]), ("b", given[3:]))]
    output = tmp_path / "output"
    run(work / "recipe.yaml", output, inputs=files[:1])
    clusters = table(output, "clusters")
    assert len(set(clusters["cluster_id"].to_pylist())) == 1
    assert clusters.num_rows == 3
    remove(str(output), write_list(tmp_path, texts[1]))
    append(str(output), files[1:])
    assert table(output, "clusters").num_rows == 0
    assert list(findings(str(output))) == []


@pytest.mark.slow
def test_an_append_finishes_a_removal_that_was_killed(work, tmp_path, monkeypatch, capsys):
    """And then reads the new files alone."""
    (first, second, _), gone, _ = pool()
    files = [write_rows(tmp_path / f"{at}.parquet", part) for at, part in enumerate((first, second))]
    output, expected = tmp_path / "output", tmp_path / "expected"
    run(work / "recipe.yaml", output, inputs=files[:1])
    shutil.copytree(output, expected)
    file = write_list(tmp_path, *gone)
    assert killed_at(20, monkeypatch, lambda: remove(str(output), file))
    assert unfinished(str(output))
    remove(str(expected), file)
    for folder in (output, expected):
        append(str(folder), files[1:])
    said = capsys.readouterr().out
    assert "a removal that was stopped is finished" in said
    assert WHOLE not in said
    assert digests(output, *TABLES) == digests(expected, *TABLES)
    assert list(findings(str(output))) == []


def test_a_disk_that_is_full_is_said_in_words(finished, tmp_path, monkeypatch):
    output = shutil.copytree(finished, tmp_path / "output")

    def full(path, content):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(storage, "write_bytes", full)
    with pytest.raises(PipelineError, match="^No space left in .*/output: more is needed for the removal"):
        remove(str(output), write_list(tmp_path, "a cat"))
