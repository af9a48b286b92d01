"""Images from tars that are there already: selected and written anew, byte for byte, whatever else is in the tars."""

import gzip
import io
import json
import tarfile
from collections import Counter

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from pipeline.errors import UsageError
from pipeline.tars.index import samples_of, scan
from tests.images.site import jpeg

from .conftest import run, stage

RECIPE = """
name: tars
input: {paths: [%(pool)s], columns: {source_uid: uid}}
language: {identify: none}
entries: {en: %(entries)s}
dedupe: {scope: none}
balance: {mode: none, t: 10}
images: {tars: [%(tars)s]}
shards: {samples: 20}
"""


def add(tar, name, content=b"", kind=tarfile.REGTYPE, **fields):
    member = tarfile.TarInfo(name)
    member.size, member.type = len(content), kind
    for field, value in fields.items():
        setattr(member, field, value)
    tar.addfile(member, io.BytesIO(content))


def write_work(folder, pairs=70, images=60):
    (folder / "tars").mkdir(parents=True)
    urls, texts = [f"http://x.test/{i}.jpg" for i in range(pairs)], [f"picture number {i}" for i in range(pairs)]
    pq.write_table(
        pa.table({"url": urls, "text": texts, "uid": [f"{i:032x}" for i in range(pairs)]}), folder / "pool.parquet"
    )
    (folder / "en.txt").write_text("picture\n")
    for part in range(3):
        with tarfile.open(folder / "tars" / f"{part:05d}.tar", "w") as tar:
            for i in range(part, images, 3):
                add(tar, f"{i:09d}.jpg", jpeg(i) if i != 7 else b"broken")
                add(tar, f"{i:09d}.txt", b"another text")
                add(tar, f"{i:09d}.json", json.dumps({"uid": f"{i:032x}", "url": "?"}).encode())
    places = {"pool": folder / "pool.parquet", "entries": folder / "en.txt", "tars": folder / "tars"}
    (folder / "recipe.yaml").write_text(RECIPE % places)
    return folder


def write_hostile(file, folder):
    with tarfile.open(file, "w") as tar:
        for i in range(20):
            add(tar, f"../../escape{i}.jpg", jpeg(i))
            add(tar, f"{folder}/absolute{i}.jpg", jpeg(i))
            add(tar, f"link{i}.jpg", kind=tarfile.SYMTYPE, linkname="/etc/passwd")
            add(tar, f"hard{i}.jpg", kind=tarfile.LNKTYPE, linkname="../../x")
            add(tar, f"device{i}.jpg", kind=tarfile.CHRTYPE, devmajor=1, devminor=5)
            add(tar, f"fifo{i}.jpg", kind=tarfile.FIFOTYPE)
            add(tar, "same.jpg", jpeg(i))


def samples(folder):
    found = {}
    for tar in sorted(folder.glob("*.tar")):
        with tarfile.open(tar) as members:
            for member in members:
                found[member.name] = members.extractfile(member).read()
    return found


def test_curated_pairs_get_their_images(tmp_path):
    work = write_work(tmp_path / "work")
    summary = run(work / "recipe.yaml", tmp_path / "out")
    shards = stage(summary, "shards")
    assert (shards["in"], shards["out"]) == (70, 59)
    assert shards["dropped"] == {"missing_image": 10, "unreadable_image": 1}
    found = samples(tmp_path / "out" / "shards")
    texts = {name.split(".")[0]: content.decode() for name, content in found.items() if name.endswith(".txt")}
    assert len(texts) == 59
    for key, text in texts.items():
        number = int(text.rsplit(" ", 1)[1])
        assert found[f"{key}.jpg"] == jpeg(number)
        assert json.loads(found[f"{key}.json"])["width"] == 64
    again = run(work / "recipe.yaml", tmp_path / "out")
    assert stage(again, "shards")["skipped"]
    few = stage(run(work / "recipe.yaml", tmp_path / "out", "images.most_pixels=3071"), "shards")  # they have 64 x 48
    assert few["dropped"] == {"missing_image": 10, "too_many_pixels": 59, "unreadable_image": 1}


def test_hostile_members_are_counted(tmp_path):
    write_hostile(tmp_path / "hostile.tar", tmp_path)
    counts = Counter()
    assert scan(str(tmp_path / "hostile.tar"), counts)["key"].to_pylist() == ["same"]
    assert counts == {"unsafe_name": 40, "not_a_file": 80, "twice": 19}


def hostile_tars(folder):
    """Tars that no downloader writes, by the reason for which they or their members are refused."""
    found = {}

    def put(name, reason, *members, end=None, kind=tarfile.USTAR_FORMAT, bend=None):
        out = io.BytesIO()
        with tarfile.open(fileobj=out, mode="w", format=kind) as tar:
            for member in members:
                add(tar, *member[:2], **(member[2] if len(member) > 2 else {}))
        content = bytearray(out.getvalue()[:end])
        if bend:
            bend(content)
        (folder / f"{name}.tar").write_bytes(content)
        found[str(folder / f"{name}.tar")] = reason

    for i, name in enumerate(
        ("../x.jpg", "a/../../x.jpg", "/x.jpg", "/etc/x.jpg", "./../x.jpg", "a/..", "..", "//x.jpg")
    ):
        put(f"unsafe{i}", "unsafe_name", (name, jpeg(1)))
        put(f"unsafe{i}-pax", "unsafe_name", (name, jpeg(1), {"mtime": 1.5}), kind=tarfile.PAX_FORMAT)
        put(
            f"unsafe{i}-gnu",
            "unsafe_name",
            ("a/" * 60 + name, jpeg(1)) if name.startswith(".") else (name, jpeg(1)),
            kind=tarfile.GNU_FORMAT,
        )
    for kind in (tarfile.SYMTYPE, tarfile.LNKTYPE):
        for i, target in enumerate(("/etc/passwd", "../../x", "x.jpg", "a" * 99)):
            put(f"link{kind.decode()}{i}", "not_a_file", ("x.jpg", b"", {"kind": kind, "linkname": target}))
    for kind in (tarfile.CHRTYPE, tarfile.BLKTYPE, tarfile.FIFOTYPE):
        put(f"device{kind.decode()}", "not_a_file", ("x.jpg", b"", {"kind": kind, "devmajor": 1, "devminor": 5}))
    for i in range(4):
        put(f"twice{i}", "twice", *[("x.jpg", jpeg(1))] * (i + 2))
    for end in (300, 700, 1100, 513):
        put(f"short{end}", "damaged_tar", ("x.jpg", bytes(3000)), end=end)
    for i, size in enumerate(
        (b"77777777777\0", b"00077777777\0", b"\x80" + b"\xff" * 11, b"\x80\0\0\0\x7f" + b"\xff" * 7)
    ):
        put(f"bomb{i}", "damaged_tar", ("x.jpg", b""), bend=lambda content, size=size: resize(content, size))
    for at in (0, 100, 124, 148):
        put(f"bent{at}", "damaged_tar", ("x.jpg", jpeg(1)), bend=lambda content, at=at: content.__setitem__(at, 0xC1))
    for i, content in enumerate((b"no tar" * 200, gzip.compress(bytes(10240)), b"\x7fELF" + bytes(range(256)) * 4)):
        (folder / f"other{i}.tar").write_bytes(content)
        found[str(folder / f"other{i}.tar")] = "damaged_tar"
    return found


def resize(content, size):
    """Gives the first member of a tar another size, with the checksum that fits."""
    content[124:136] = size
    content[148:156] = b" " * 8
    content[148:156] = b"%06o\0 " % sum(content[:512])


def test_hostile_tars_are_refused_with_their_reason(tmp_path):
    tars = hostile_tars(tmp_path)
    assert len(tars) >= 50
    before = sorted(tmp_path.rglob("*"))
    for tar, reason in tars.items():
        samples, refused = samples_of(tar)
        assert set(refused) == {reason}, (tar, refused)
        assert len(samples) == (reason == "twice")
    assert sorted(tmp_path.rglob("*")) == before


@pytest.mark.slow
def test_hostile_tars_are_only_read(tmp_path):
    work = write_work(tmp_path / "work", pairs=5, images=5)
    write_hostile(work / "tars" / "hostile.tar", tmp_path)
    hostile_tars(work / "tars")
    before = {path for path in tmp_path.rglob("*")}
    summary = run(work / "recipe.yaml", tmp_path / "out")
    assert stage(summary, "shards")["out"] == 5
    refused = {"unsafe_name", "not_a_file", "twice", "damaged_tar", "ambiguous_key"}
    assert refused == set(stage(summary, "shards")["refused_members"])
    made = {path for path in tmp_path.rglob("*") if path not in before and not path.is_relative_to(tmp_path / "out")}
    assert not {path for path in made if "escape" in path.name or "absolute" in path.name or "link" in path.name}
    assert not list(tmp_path.parent.glob("escape*"))


def test_each_uid_is_an_image_of_its_own_and_a_key_alone_may_be_several(tmp_path):
    """Two uids of one URL, a uid in two tars, keys without a uid in two tars, and hashes of originals."""
    folder = tmp_path / "work"
    (folder / "tars").mkdir(parents=True)
    big, small, other, known = (jpeg(i, size) for i, size in enumerate([(64, 48), (20, 15), (70, 50), (66, 44)]))
    members = {
        "a": [("0", big, {"uid": "big"}), ("1", small, {"uid": "small"}), ("2", other, {"uid": "twice"}), ("000", big, {}),
              ("own", other, {"sha256": "no digest"})],
        "b": [("3", known, {"uid": "known", "sha256": "AB" * 32}), ("4", other, {"uid": "twice"}), ("000", small, {})],
    }  # fmt: skip
    for name, samples_of_tar in members.items():
        with tarfile.open(folder / "tars" / f"{name}.tar", "w") as tar:
            for key, content, meta in samples_of_tar:
                add(tar, f"{key}.jpg", content)
                add(tar, f"{key}.json", json.dumps(meta).encode())
    uids = ["big", "small", "twice", "known", "000", "own", None]
    texts = [f"picture of {uid}" for uid in uids]
    urls = ["http://x.test/same.jpg"] * 2 + [f"http://x.test/{i}.jpg" for i in range(5)]
    pq.write_table(pa.table({"url": urls, "text": texts, "uid": uids}), folder / "pool.parquet")
    (folder / "en.txt").write_text("picture\n")
    (folder / "hashes.txt").write_text("ab" * 32 + "\n")
    places = {"pool": folder / "pool.parquet", "entries": folder / "en.txt", "tars": folder / "tars"}
    (folder / "recipe.yaml").write_text(RECIPE % places)
    rules = ["filter.min_side=30", f"filter.evaluation={{ours: {{images: [{folder / 'hashes.txt'}]}}}}"]
    summary = run(folder / "recipe.yaml", tmp_path / "out", *rules)
    assert stage(summary, "filter")["dropped"] == {
        "ambiguous_key": 1, "evaluation_image": 1, "missing_image": 1, "too_small": 1,
    }  # fmt: skip
    assert stage(summary, "filter")["refused_members"] == {"ambiguous_key": 2, "repeated_uid": 1}
    found = samples(tmp_path / "out" / "shards")
    kept = {found[f"{name[:-4]}.txt"].decode(): content for name, content in found.items() if name.endswith(".jpg")}
    assert kept == {"picture of big": big, "picture of twice": other, "picture of own": other}


def test_no_tars(tmp_path):
    work = write_work(tmp_path / "work", pairs=2, images=2)
    with pytest.raises(UsageError, match="images.tars: .*: no .tar there"):
        run(work / "recipe.yaml", tmp_path / "out", f"images.tars=[{tmp_path / 'work' / 'none'}]")
    with pytest.raises(UsageError, match="found two of them"):
        run(work / "recipe.yaml", tmp_path / "out", "images.fetch=true")


@pytest.mark.slow
def test_pairs_are_chosen_by_columns(tmp_path):
    work = write_work(tmp_path / "work", pairs=30, images=30)
    run(work / "recipe.yaml", tmp_path / "first")
    index = pq.read_table(sorted((tmp_path / "first" / "shards").glob("*.parquet"))[0])
    keys = index["key"].to_pylist()
    (tmp_path / "scores").mkdir()
    scores = [number / 10 for number in range(len(keys) - 2)]
    pq.write_table(pa.table({"key": keys[2:], "score": scores}), tmp_path / "scores" / "00000.parquet")
    chosen = [f"filter.columns=[{tmp_path / 'scores'}]", "filter.where=score >= 0.5"]
    summary = run(work / "recipe.yaml", tmp_path / "second", *chosen)
    found = {name.split(".")[0] for name in samples(tmp_path / "second" / "shards")}
    assert found == set(keys[2 + 5 :])
    dropped = stage(summary, "filter")["dropped"]
    assert dropped["filtered"] == 5
    assert dropped["not_scored"] == 30 - len(scores)
    assert stage(summary, "shards")["out"] == len(found)
    for setting, message in (("score >=", "filter.where: 'score >='"), ("scoer > 1", "filter.where: 'scoer > 1'")):
        with pytest.raises(UsageError, match=message):
            run(work / "recipe.yaml", tmp_path / "third", chosen[0], f"filter.where={setting}")
    with pytest.raises(UsageError, match="filter.columns: /none: no files there"):
        run(work / "recipe.yaml", tmp_path / "third", "filter.columns=[/none]", "filter.where=score > 1")
