"""Tombstones: what is hit, what is not, what the files tell."""

import hashlib

import numpy as np
import pyarrow as pa
import pytest

from pipeline.buckets.hashing import pair_ids
from pipeline.errors import UsageError
from pipeline.tombstones.rows import forbidden, forbidden_images, mark_removed
from pipeline.tombstones.table import NAME, SALT, Salt, Stored, Tombstones, add, read
from pipeline.tombstones.values import hosts, image_ids

URLS = [
    "https://a.test/1.jpg",
    "https://img.b.test:8443/x?y",
    "http://B.Test./z",
    "https://notb.test/",
    "http://u@b.test\\q",
]
TEXTS = ["one", "two", "three ", "four", "one"]


@pytest.mark.parametrize(
    ("url", "host"),
    [
        ("https://Example.ORG/x", "example.org"),
        ("https://example.org./x", "example.org"),
        ("http://user:pass@word@x.org:8080/?q#f", "x.org"),
        ("http:\\\\x.org\\y", "x.org"),
        ("http://x.org?y", "x.org"),
        ("http://ex%61mple.org/", "example.org"),
        ("http://bücher.example/", "xn--bcher-kva.example"),
        ("http://0x7f.1/", "127.0.0.1"),
        ("http://[::1]:80/", "[::1]"),
        ("http://a_b.example/", "a_b.example"),
        ("http://x.org\t/y", "x.org"),
        ("nonsense", ""),
        (None, ""),
    ],
)
def test_the_host_of_a_url(url, host):
    assert hosts(pa.array([url], pa.string())).to_pylist() == [host]


HIT = {
    ("url", "https://a.test/1.jpg"): [0],
    ("url", "https://a.test/1.jp"): [],
    ("host", "b.test"): [1, 2, 4],
    ("host", "img.b.test"): [1],
    ("host", "test"): [0, 1, 2, 3, 4],
    ("host", "est"): [],
    ("text", "one"): [0, 4],
    ("text", "three"): [],
    ("image_id", hashlib.sha224(URLS[3].encode()).hexdigest()[:24]): [3],
    ("pair_id", str(pair_ids(pa.array(URLS[2:3]), pa.array(TEXTS[2:3]))[0])): [2],
    ("sha256", "0" * 64): [],
}


@pytest.mark.parametrize(("kind", "value"), HIT)
def test_what_a_tombstone_hits(kind, value, tmp_path):
    salt = Salt.of(str(tmp_path))
    tombstones = Tombstones.of(salt.made(kind, pa.array([value, "another"]), 0), salt)
    seen = []
    found = forbidden(tombstones, pa.array(URLS), pa.array(TEXTS), lambda *hit: seen.append(hit))
    assert np.flatnonzero(found).tolist() == HIT[kind, value]
    assert {one for one, _ in seen} == ({kind} if found.any() else set())
    images = forbidden(tombstones, pa.array(URLS), None)
    assert np.flatnonzero(images).tolist() == (HIT[kind, value] if kind in ("url", "host", "image_id") else [])


def test_what_follows_from_others_is_for_explain_alone(tmp_path):
    salt = Salt.of(str(tmp_path))
    tombstones = Tombstones.of(salt.made("url", pa.array(URLS[:1]), 3, implied=True), salt)
    assert not forbidden(tombstones, pa.array(URLS), pa.array(TEXTS)).any()
    assert tombstones.all["url"].removals[tombstones.all["url"].places(pa.array(URLS))[0]] == 3


def test_images_by_their_bytes(tmp_path):
    salt = Salt.of(str(tmp_path))
    tombstones = Tombstones.of(salt.made("sha256", pa.array(["a" * 64]), 0), salt)
    assert forbidden_images(tombstones, [None, "a" * 64, "b" * 64]).tolist() == [False, True, False]
    assert forbidden_images(None, ["a" * 64]).tolist() == [False]


def test_rows_that_were_dropped_keep_their_reason(tmp_path):
    salt = Salt.of(str(tmp_path))
    tombstones = Tombstones.of(salt.made("text", pa.array(["one"]), 0), salt)
    rows = pa.record_batch({"url": URLS[:3], "text": ["one", "one", "x"],
                            "dropped": pa.array(["nul", None, None], pa.string())})  # fmt: skip
    assert mark_removed(rows, tombstones).column("dropped").to_pylist() == ["nul", "removed", None]
    assert mark_removed(rows, None) is rows


def test_more_are_added_and_the_first_stays(tmp_path):
    place, salt = str(tmp_path), Salt.of(str(tmp_path))
    values = pa.array([f"https://{n}.test/" for n in range(1000)])
    add(place, salt.made("url", values[:600], 0), salt)
    before = (tmp_path / SALT).read_bytes()
    assert Salt.of(place).key == before == salt.key
    add(place, pa.concat_tables([salt.made("url", values[400:], 1), salt.made("url", values[:10], 2, True)]), salt)
    assert (tmp_path / SALT).read_bytes() == before
    lookup = Stored.of(place).loaded().asked["url"]
    assert len(read(place)) == 1000
    assert lookup.removals[lookup.places(values)].tolist() == [0] * 600 + [1] * 400
    content = (tmp_path / NAME).read_bytes()
    add(place, salt.made("url", values[:5], 3), salt)
    assert (tmp_path / NAME).read_bytes() == content


def test_files_tell_nothing_without_the_salt(tmp_path):
    """Not what was taken out, and not whether another output took out the same."""
    made = []
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
        salt = Salt.of(str(tmp_path / name))
        add(str(tmp_path / name), salt.made("text", pa.array(["a secret text"]), 0), salt)
        assert b"secret" not in (tmp_path / name / NAME).read_bytes()
        made.append(read(str(tmp_path / name)).to_pylist()[0])
    assert made[0]["hash"] != made[1]["hash"]
    assert made[0]["check"] != made[1]["check"]
    assert hashlib.blake2b(b"a secret text", digest_size=16).digest() not in (made[0]["hash"], made[1]["hash"])


def test_tombstones_without_their_salt_are_refused(tmp_path):
    salt = Salt.of(str(tmp_path))
    add(str(tmp_path), salt.made("text", pa.array(["one"]), 0), salt)
    (tmp_path / SALT).unlink()
    with pytest.raises(UsageError, match="salt: missing"):
        Salt.of(str(tmp_path))


def test_image_ids_are_those_of_pairs():
    assert image_ids(pa.array(URLS))[0].as_py() == hashlib.sha224(URLS[0].encode()).hexdigest()[:24]
