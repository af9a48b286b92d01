"""The data of a report against plain recounts, and the page that holds it."""

import base64
import gzip
import html.parser
import json
import re
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.balance.thresholds import keep_probability
from pipeline.report.page import balance, duplicates, samples, texts
from pipeline.report.page.diff import gather as gather_diff
from pipeline.report.page.entries import pack_entries, side_packs
from pipeline.report.page.html import as_json, page
from pipeline.report.page.report import SCRIPTS, gather, write_report
from pipeline.report.page.samples import host
from pipeline.report.page.source import Output
from tests.report.made import LISTS, data_of, opened, write_output, zipf_pairs


def plain_counts(rows) -> Counter:
    return Counter((row["entry_list"], entry) for row in rows for entry in row["entries"])


def rows_of(output: Output, table: str) -> list[dict]:
    return output.read(table).to_pylist()


def test_curves_are_those_of_a_plain_recount(made):
    output = opened(made)
    figures = balance.figures(output)
    removed = {row["pair_id"] for row in rows_of(output, "clusters") if not row["kept"]}
    matched = rows_of(output, "matched")
    sides = {"pool": matched, "deduped": [row for row in matched if row["pair_id"] not in removed],
             "kept": rows_of(output, "curated")}  # fmt: skip
    assert len(sides["pool"]) > len(sides["deduped"]) > len(sides["kept"]) > 100
    for found in figures["lists"]:
        for side, rows in sides.items():
            counts = plain_counts(row for row in rows if found["list"] in ("", row["entry_list"]))
            descending = sorted(counts.values(), reverse=True)
            expected = [descending[rank - 1] if rank <= len(descending) else 0 for rank in found["ranks"]]
            assert found[side] == expected, (found["list"], side)
        assert found["cumulative"][0][-1] == sum(
            plain_counts(row for row in sides["deduped"] if found["list"] in ("", row["entry_list"])).values()
        )
    assert [one["list"] for one in figures["lists"][:2]] == ["en", ""]


def test_what_if_is_the_sum_of_keep_probabilities(made):
    output = opened(made)
    found = balance.figures(output)["what_if"]
    removed = {row["pair_id"] for row in rows_of(output, "clusters") if not row["kept"]}
    rows = [row for row in rows_of(output, "matched") if row["pair_id"] not in removed]
    counts = plain_counts(rows)
    t = {row["entry_list"]: row["t"] for row in rows_of(output, "thresholds")}
    expected = sum(
        1 - np.prod([1 - min(1, t[row["entry_list"]] / counts[row["entry_list"], entry]) for entry in row["entries"]])
        for row in rows
    )
    line = next(line for line in found["lines"] if line["t"] == t["en"])
    assert line["size"] == round(expected)
    sizes = [line["size"] for line in found["lines"]]
    assert sizes == sorted(sizes)
    assert sizes[-1] == len(rows) == found["pairs"]
    most = plain_counts(row for row in rows if row["entry_list"] == "en").most_common(1)[0][1]
    assert found["lines"][-1]["curve"][0] == most
    expected = Counter()
    for row in rows:
        gone = [1 - min(1, t[row["entry_list"]] / counts[row["entry_list"], entry]) for entry in row["entries"]]
        expected.update({entry: 1 - np.prod(gone) for entry in row["entries"] if row["entry_list"] == "en"})
    descending = sorted(expected.values(), reverse=True)
    assert line["curve"] == pytest.approx([descending[rank - 1] for rank in found["ranks"]], abs=0.06)


def test_a_curve_from_a_sample_is_near_that_of_all():
    rng = np.random.default_rng(0)
    ids = np.minimum(rng.zipf(1.3, 200_000) - 1, 999)
    count = np.bincount(ids, minlength=1000)
    kept = np.minimum(1, 300 / count[ids])
    sample = rng.random(len(ids)) < 0.1
    whole = np.array(balance.Curve(count, ids, True).expected(kept))
    found = np.array(balance.Curve(count, ids[sample], False).expected(kept[sample]))
    assert np.abs(found / np.maximum(whole, 1) - 1).max() < 0.15


def unpacked(text: str, entries: int):
    """The pack as the page reads it."""
    content = gzip.decompress(base64.b64decode(text))
    size = int.from_bytes(content[:4], "little")
    names = content[4 : 4 + size].decode().split("\n")[:-1]
    planes = np.frombuffer(content[4 + size :], np.uint8).reshape(3, 8, entries).astype(np.int64)
    return names, [(plane << (8 * np.arange(8))[:, None]).sum(0) for plane in planes]


@pytest.mark.parametrize("room", [10_000_000, 4_000, 700, 0])
def test_entries_are_packed_as_far_as_there_is_room(made, room):
    entries = opened(made).entries
    found, rest = pack_entries(entries, room)
    assert len(found.text) <= max(room, 40)
    assert sorted([*found.flat, *rest]) == np.flatnonzero(entries.count).tolist()
    assert not len(rest) or not len(found.flat) or entries.count[found.flat].min() >= entries.count[rest].max()
    for one in (found, *side_packs(entries, rest)):
        names, (count, kept, probability) = unpacked(one.text, len(one.flat))
        assert names == [entries.names[int(at)].as_py().replace("\n", " ") for at in one.flat]
        assert count.tolist() == entries.count[one.flat].tolist()
        assert kept.tolist() == entries.kept[one.flat].tolist()
        assert np.allclose(probability / 1e6, entries.probability[one.flat], atol=1e-6)
        assert sum(number for _, number in one.lists) == len(one.flat)


def test_very_many_entries_lie_beside_the_page(made, monkeypatch):
    monkeypatch.setattr("pipeline.report.page.report.MOST_CHARACTERS", len(page(gather(opened(made)), SCRIPTS)) + 900)
    monkeypatch.setattr("pipeline.report.page.entries.IN_FILE", 200)
    path = write_report(opened(made))
    data = data_of(Path(path).read_text(encoding="utf-8"))
    assert data["search"]["entries"] > 0
    files = sorted((made / "report-entries").iterdir())
    assert len(files) == len(data["search"]["side"]) > 1
    assert "'self' file:" in Path(path).read_text(encoding="utf-8")
    monkeypatch.undo()
    write_report(opened(made))
    assert not (made / "report-entries").exists()


def test_clusters_by_size_and_examples(made):
    output = opened(made)
    found = duplicates.figures(output)
    sizes = Counter(Counter(row["cluster_id"] for row in rows_of(output, "clusters")).values())
    for line in found["by_size"]:
        inside = {size: clusters for size, clusters in sizes.items() if line["from"] <= size <= line["to"]}
        assert line["clusters"] == sum(inside.values())
        assert line["members"] == sum(size * clusters for size, clusters in inside.items())
    assert sum(line["members"] for line in found["by_size"]) == len(rows_of(output, "clusters"))
    assert found["examples"]
    texts_there = {row["text"] for row in rows_of(output, "matched")}
    for example in found["examples"]:
        for side in ("stayed", "gone"):
            assert " ".join(text for who, text in example["pieces"] if who in ("both", side)) in texts_there


def test_of_very_many_members_a_share_of_the_clusters(made, monkeypatch):
    monkeypatch.setattr(duplicates, "MOST_MEMBERS", 150)
    found = duplicates.read_members(opened(made).files("clusters"))
    assert found["scale"] > 1
    whole = Counter(row["cluster_id"] for row in rows_of(opened(made), "clusters"))
    assert Counter(found["cluster_id"].tolist()).items() <= whole.items()  # each whole, or not at all


def test_lengths_and_languages(made):
    output = opened(made)
    found = texts.lengths(output)
    words = Counter(min(len(row["text"].split(" ")), texts.MOST_WORDS + 1) for row in rows_of(output, "curated"))
    total = sum(words.values())
    assert found["words"][1] == [round(words[n] / total, 5) for n in range(1, texts.MOST_WORDS + 2)]
    kept = Counter(row["entry_list"] for row in rows_of(output, "curated"))
    assert {row["entry_list"]: row["kept"] for row in texts.languages(output)} == kept


def test_samples_are_of_their_entries_and_moved_ones_are_right(made):
    output = opened(made)
    data = gather(output)
    curated = {(row["text"], row["entry_list"]): set(row["entries"]) for row in rows_of(output, "curated")}
    entries = output.entries
    for sample in data["samples"]:
        local = {at - entries.starts[sample["list"]] for at in sample["entries"]}
        assert local == curated[sample["text"], sample["list"]]
    assert sum("webp" in sample for sample in data["samples"]) > 20
    change = {
        (row["list"], row["entry"]): row["kept"] / data["moved"]["after"] - row["count"] / data["moved"]["before"]
        for side in ("lost", "gained")
        for row in data["moved"][side]
    }
    assert min(change.values()) == change["en", "word0"] or min(change.values()) < 0 < max(change.values())
    assert len(data["images"]["thumbnails"]) == 100


def test_differences_are_those_of_the_sets(made, tmp_path):
    other = write_output(tmp_path / "other", LISTS, zipf_pairs(LISTS, 3000)[200:], t=8)
    a, b = opened(made), opened(other)
    data = gather_diff(a, b)
    before, after = ({row["pair_id"]: row["text"] for row in rows_of(side, "curated")} for side in (a, b))
    assert data["pairs"]["both"] == len(before.keys() & after.keys())
    assert data["pairs"]["left"] == len(before.keys() - after.keys()) > 0
    assert data["pairs"]["entered"] == len(after.keys() - before.keys()) > 0
    assert {row["text"] for row in data["pairs"]["entered_samples"]} <= {after[i] for i in after.keys() - before.keys()}
    kept = [plain_counts(rows_of(side, "curated")) for side in (a, b)]
    totals = [sum(side.values()) for side in kept]
    change = {key: kept[1][key] / totals[1] - kept[0][key] / totals[0] for key in kept[0] | kept[1]}
    top = data["entries"]["gained"][0]
    key = (top["list"], LISTS[top["list"]].index(top["entry"]))
    assert change[key] == max(change.values())
    assert (top["before"], top["after"]) == (kept[0][key], kept[1][key])
    assert data["recipe"] == [{"key": "balance.t", "values": ["3", "8"]}]


class Outline(html.parser.HTMLParser):
    """The elements of a page with their attributes' names, in order; the content security policy."""

    def __init__(self):
        super().__init__()
        self.found, self.policy = [], None

    def handle_starttag(self, tag, attrs):
        self.found.append((tag, tuple(name for name, _ in attrs)))
        if ("http-equiv", "Content-Security-Policy") in attrs:
            self.policy = dict(attrs)["content"]


def outline(text: str) -> Outline:
    found = Outline()
    found.feed(text)
    return found


def test_the_page_has_a_strict_policy_and_nothing_inline(made):
    text = Path(write_report(opened(made))).read_text(encoding="utf-8")
    policy = outline(text).policy
    assert policy.startswith("default-src 'none'; script-src 'sha256-")
    assert "unsafe" not in policy
    assert "http" not in policy
    assert not re.search(r"<[a-z][^<>]*\son[a-z]+\s*=", re.sub(r"<script.*?</script>", "", text, flags=re.S))
    assert len(text.encode()) < 5_000_000


@pytest.mark.parametrize("text", ["</script><b>", "<!--<script>", "\u2028\u2029", "&lt;", "]]>", '"\\"', "\x00"])
def test_json_in_a_page_ends_nothing(text):
    found = as_json({"text": text, text: 1})
    assert json.loads(found) == {"text": text, text: 1}
    assert not set(found) & set("<>&\u2028\u2029")


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        ("https://User:pw@A.test:8/x", "a.test"),
        ("openmoji://17.0.0/x", "openmoji:"),
        (None, ""),
        ("", ""),
        ("http://[::1", ""),
    ],
)
def test_hosts(url, expected):
    assert host(url) == expected


@settings(max_examples=500, deadline=None)
@given(
    st.sampled_from(["http://", "https://", "HTTP://", "ftp://", "", "http:/", "https://u:p@"]),
    st.text(st.sampled_from("aB9.-_:/?#@[]%\\ \t\nä"), max_size=12),
)
def test_hosts_that_are_plain_to_see_are_those_that_python_finds(scheme, rest):
    found = host(scheme + rest)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(samples, "_PLAIN", re.compile("(?!)"))
        assert found == host(scheme + rest)


@pytest.mark.parametrize("seed", range(20))
def test_the_chance_of_rows_is_their_keep_probability(seed):
    """Up to the last bits; rows without matches have none, wherever they stand."""
    rng = np.random.default_rng(seed)
    offsets = np.concatenate([[0], np.cumsum(rng.choice([0, 1, 2, 30], rng.integers(0, 50)))])
    probability, ids = rng.random(40) ** 3, rng.integers(0, 40, offsets[-1])
    want = keep_probability(probability, ids, offsets)
    assert balance.by_chance(probability[ids], offsets) == pytest.approx(want, rel=1e-9, abs=1e-15)


def test_places_among_some():
    some = np.array([2, 3, 7])
    assert balance.places(some, 9)[some].tolist() == [0, 1, 2]
    assert balance.places(some[:0], 2).tolist() == [0, 0]
