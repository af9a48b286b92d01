"""What only the fast engine can get wrong: buffers, scratch, hashes, files, caches."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

from pipeline.match.fast import FEW, FastMatcher, sort_few, sort_many
from pipeline.match.reference import ReferenceMatcher
from pipeline.match.tokens import token_key

PROJECT = Path(__file__).resolve().parents[2]
ENTRIES = pa.array(
    [
        "a",
        "a b",
        "b c d",
        "photo",
        "a very long photograph",
        "international",
        "internationalisation of",
        "猫",
        "C++",
        "é",
    ]
)
TEXTS = [
    "a b c d",
    "",
    None,
    "photo, a b.",
    "a very long photograph",
    "internationalisation of é",
    "C++ 猫 a" * 30,
    "é",
]


@pytest.mark.parametrize("kind", [pa.string(), pa.large_string()])
@pytest.mark.parametrize(("start", "end"), [(0, 8), (1, 7), (3, 3), (2, 3), (7, 8)])
def test_slices_nulls_and_wide_offsets(kind, start, end):
    want = ReferenceMatcher.build(ENTRIES, "metaclip2").match(pa.array(TEXTS[start:end], pa.string()))
    texts = pa.array(TEXTS, kind)[start:end]
    found = FastMatcher.build(ENTRIES, "metaclip2").match(texts)
    found.validate(full=True)
    assert found.equals(want)


def test_a_null_with_bytes_beneath_it():
    texts = pa.array(["a", "a b", "a"])
    hidden = pa.Array.from_buffers(pa.string(), 3, [pa.py_buffer(bytes([0b101])), *texts.buffers()[1:]])
    assert FastMatcher.build(ENTRIES, "metaclip1").match(hidden).to_pylist() == [[0], None, [0]]


def test_texts_at_the_very_end_of_their_buffer():
    """The kernel loads eight bytes at a time where they are there, and no byte beyond the buffer."""
    matcher = FastMatcher.build(ENTRIES, "metaclip1")
    for text in (
        "a",
        "photo",
        "international",
        "a very long photograph",
        "internationalisation of",
        "b internationalisation of",
    ):
        content = text.encode()
        array = pa.Array.from_buffers(
            pa.string(), 1, [None, pa.py_buffer(np.array([0, len(content)], np.int32)), pa.py_buffer(content)]
        )
        assert matcher.match(array).equals(ReferenceMatcher.build(ENTRIES, "metaclip1").match(pa.array([text])))


def test_many_matches_and_long_texts():
    words = [f"w{i}" for i in range(3000)]
    matcher, reference = (engine.build(pa.array(words), "metaclip1") for engine in (FastMatcher, ReferenceMatcher))
    rng = np.random.default_rng(0)
    texts = [" ".join(rng.choice(words, n)) for n in (31, 32, 33, 64, 65, 5000, 1, 40_000)]
    texts.append("w1 " * 300_000)
    assert matcher.match(pa.array(texts)).equals(reference.match(pa.array(texts)))


def test_values_are_sorted_and_distinct():
    few, ranks = np.empty(64, np.int32), np.empty(64, np.int32)
    rng = np.random.default_rng(1)
    for count in [*range(70), 100]:
        values = rng.integers(0, max(1, count), count).astype(np.int32)
        want = np.unique(values)
        again = values.copy()
        assert again[: sort_many(again, 0, count)].tolist() == want.tolist()
        if count <= FEW:
            assert values[: sort_few(values, 0, count, few, ranks)].tolist() == want.tolist()


def colliding_tokens() -> tuple[bytes, bytes]:
    """Two tokens of sixteen bytes with one key: the hash's multiplications are undone for one word after the other."""
    a, b, ones = 0x9E3779B97F4A7C15, 0xC2B2AE3D27D4EB4F, 2**64 - 1
    special = set(b" \t\n\r,.;:?!`\0")
    rng = np.random.default_rng(0)
    while True:
        first, second = (int.from_bytes(rng.bytes(8), "little") for _ in range(2))
        high = (16 * a & ones) ^ (second * b & ones)
        low = (first * a & ones) ^ (high * b & ones)
        other_high = high ^ 1  # the key leaves the lowest byte out
        other_second = ((16 * a & ones) ^ other_high) * pow(b, -1, 2**64) & ones
        other_first = (low ^ (other_high * b & ones)) * pow(a, -1, 2**64) & ones
        pair = [
            f.to_bytes(8, "little") + s.to_bytes(8, "little") for f, s in ((first, second), (other_first, other_second))
        ]
        if not special & set(pair[0] + pair[1]):
            return pair[0], pair[1]


def test_a_collision_never_gives_a_wrong_id():
    one, two = colliding_tokens()
    keys = [token_key(np.frombuffer(t + bytes(16), np.uint8), 0, 16) for t in (one, two)]
    assert keys[0] == keys[1]

    def array(*values):
        return pa.Array.from_buffers(pa.string(), len(values), pa.array(values, pa.binary()).buffers())

    both = FastMatcher.build(array(one, two), "metaclip1")
    assert both.match(array(two, one, one + b" " + two, b"x")).to_pylist() == [[1], [0], [0, 1], []]
    assert FastMatcher.build(array(one), "metaclip1").match(array(two, one)).to_pylist() == [[], [0]]


def test_bytes_that_are_no_utf8_are_safe():
    rng = np.random.default_rng(0)
    values = [rng.bytes(n) for n in range(1, 200)] + [b"\xf0", b"\xe4\xb8", b"a \xc3"]
    texts = pa.Array.from_buffers(pa.string(), len(values), pa.array(values, pa.binary()).buffers())
    for form in ("metaclip1", "metaclip2"):
        FastMatcher.build(ENTRIES, form).match(texts).validate(full=True)


def test_the_tables_are_mapped_not_copied(tmp_path):
    matcher = FastMatcher.build(pa.array([f"entry {i}" for i in range(50_000)] + ["猫"]), "metaclip2")
    matcher.save(tmp_path / "tables")
    before = pa.total_allocated_bytes()
    loaded = FastMatcher.load(tmp_path / "tables")
    assert pa.total_allocated_bytes() - before < 100_000
    for name, table in matcher.tables.items():
        assert (loaded.tables[name] == table).all()
        assert not loaded.tables[name].flags.owndata


CHECK = (
    "import sys, time; t = time.perf_counter(); import pyarrow as pa\n"
    "from pipeline.match import fast; m = fast.FastMatcher.build(pa.array(['a', 'b c', '猫']), 'metaclip2')\n"
    "assert m.match(pa.array(['a b c', '猫'])).to_pylist() == [[0, 1], [2]]\n"
    "print(fast.__file__, sum(fast.match_rows.stats.cache_hits.values()))\n"
)


def second_start(path: Path, home: Path) -> str:
    """Imports the package from ``path`` twice, in processes of their own; what the second says."""
    env = {k: v for k, v in os.environ.items() if k != "PYTHONPATH"} | {
        "PYTHONPATH": str(path),
        "HOME": str(home),
        "XDG_CACHE_HOME": str(home / "cache"),
    }
    for _ in range(2):
        done = subprocess.run(
            [sys.executable, "-c", CHECK], env=env, cwd=home, capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.mark.slow
@pytest.mark.parametrize("where", ["zip", "read-only folder"])
def test_compiled_once_from_a_zip_and_a_read_only_folder(tmp_path, where):
    home = tmp_path / "home"
    home.mkdir()
    if where == "zip":
        path = Path(shutil.make_archive(str(tmp_path / "pipeline"), "zip", PROJECT, "pipeline"))
    else:
        path = tmp_path / "site"
        shutil.copytree(PROJECT / "pipeline", path / "pipeline", ignore=shutil.ignore_patterns("__pycache__"))
        # A file where Numba's folder would be: the superuser may write into any folder.
        for folder in (path / "pipeline", path / "pipeline" / "match"):
            (folder / "__pycache__").write_text("")
    file, hits = second_start(path, home).rsplit(" ", 1)
    assert str(tmp_path) in file
    assert int(hits) == 1
