import gzip
import io
import random
import tracemalloc

import pytest
import zstandard

from pipeline.extract.file import extract_file
from pipeline.extract.options import Extract
from pipeline.extract.records import Place, Records
from tests.extract.files import extracted, image, metadata, packed, page, record

PAGES = [page(f"<img src={n}.jpg alt='image {n}'>", url=f"https://a.example.org/{n}/") for n in range(6)]
HERE = [f"https://a.example.org/{n}/{n}.jpg" for n in range(6)]


def urls(content, kind="warc", **options):
    pairs, found = extracted(content, kind, **options)
    return [pair["url"] for pair in pairs], found


@pytest.mark.parametrize(
    "content",
    [
        b"".join(PAGES),
        packed(*PAGES),
        gzip.compress(b"".join(PAGES), mtime=0),
        b"".join(zstandard.compress(one) for one in PAGES),
        zstandard.compress(b"".join(PAGES)),
        packed(*PAGES) + bytes(1000),
    ],
    ids=["plain", "gzip members", "one gzip", "zstd frames", "one zstd", "zeros at the end"],
)
def test_every_way_to_pack_is_known_by_its_bytes(content):
    found = urls(content)
    assert found[0] == HERE
    assert found[1].records == 6


def test_a_file_cut_at_every_byte_gives_what_it_held_and_says_so():
    content, whole = packed(*PAGES[:3]), len(packed(*PAGES[:3]))
    ends = {len(packed(*PAGES[:count])): count for count in range(1, 4)}
    for end in range(whole):
        found, said = urls(content[:end])
        assert found[:2] == HERE[: len(found)][:2]
        if end in ends:
            assert found == HERE[: ends[end]]
            assert said.damage is None
        else:
            assert said.damage, end
            assert len(found) >= sum(at <= end for at in ends)
    assert urls(content)[1].damage is None


@pytest.mark.parametrize("raw", [True, False])
def test_a_zstd_file_with_a_dictionary(raw):
    many = [
        page(f"<img src={n}.jpg alt='image {n}'>" + "some text " * n, url=f"https://a.example.org/{n}/")
        for n in range(300)
    ]
    dictionary = zstandard.train_dictionary(4096, many)
    known = dictionary.as_bytes() if raw else zstandard.compress(dictionary.as_bytes())
    packer = zstandard.ZstdCompressor(dict_data=dictionary)
    head = b"\x5d\x2a\x4d\x18" + len(known).to_bytes(4, "little") + known
    content = head + b"".join(packer.compress(one) for one in many)
    found, said = urls(content)
    assert (len(found), said.damage) == (300, None)
    for cut in (content[:-20], content[: len(head) + 10], content[:20], content[:6]):
        assert urls(cut)[1].damage
    assert len(urls(content[:-20])[0]) >= 290
    assert urls(b"\x5d\x2a\x4d\x18\xff\xff\xff\xff")[1].damage == "has a dictionary of 4,294,967,295 bytes"


@pytest.mark.parametrize("way", ["plain", "zstd"])
def test_other_files_that_are_cut_say_so(way):
    content = b"".join(PAGES) if way == "plain" else zstandard.compress(b"".join(PAGES))
    for end in range(1, len(content) - 4, 7):
        assert urls(content[:end])[1].damage or way == "plain"


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (b"", "is empty"),
        (b"<?xml version='1.0'?><Error><Code>AccessDenied</Code></Error>", "is no WARC file: begins with b'<?xml'"),
        (gzip.compress(b"<?xml version='1.0'?><Error/>", mtime=0), "has no WARC record"),
        (b"PK\x03\x04 and so on", "is no WARC file"),
        (packed(metadata([image("a.jpg", "x")])), "has no record of a page, as a WARC file has"),
    ],
)
def test_a_wrong_file_is_named(content, says):
    found, said = urls(content)
    assert found == []
    assert said.damage.startswith(says)
    assert urls(packed(*PAGES), "wat")[1].damage is None  # Its records are counted: none is of a page's metadata.


def test_a_flipped_byte_costs_what_comes_after():
    content = bytearray(packed(*PAGES))
    content[len(packed(*PAGES[:3])) + 40] ^= 0xFF
    found, said = urls(bytes(content))
    assert found[:3] == HERE[:3]
    assert said.damage


@pytest.mark.parametrize("off", [-2, 2])
def test_a_content_length_that_is_two_off_costs_no_other_page(off):
    body = PAGES[1].split(b"\r\n\r\n", 1)[1].removesuffix(b"\r\n\r\n")
    odd = record("response", body, "https://a.example.org/1/", length=len(body) + off)
    for content in (packed(PAGES[0], odd, *PAGES[2:]), PAGES[0] + odd + b"".join(PAGES[2:])):
        found, said = urls(content)
        assert found[0] == HERE[0]
        assert found[-4:] == HERE[-4:] or said.damage


def test_a_record_with_no_headers_and_odd_ones():
    odd = b"WARC/1.0\r\n\r\n\r\n\r\n"
    listed = record("response", PAGES[0].split(b"\r\n\r\n", 1)[1], "https://a.example.org/0/", WARC_Protocol="h2", X="")
    found, said = urls(packed(odd, listed, *PAGES[1:]))
    assert found[-5:] == HERE[-5:] or said.damage


def test_a_record_over_the_limit_is_passed_by_without_being_held():
    large = page(b"<img src=a.jpg alt=x>" + b"x" * (40 << 20))
    content = packed(PAGES[0], large, PAGES[1])
    tracemalloc.start()
    found, said = urls(content, most_page_bytes=1 << 20)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert found == HERE[:2]
    assert said.pages == {"read": 2, "too_large": 1}
    assert peak < 8 << 20


def test_reading_goes_on_where_it_was_and_passes_records_by():
    content, seen = packed(*PAGES), []
    parts = list(extract_file(io.BytesIO(content), "warc", Extract(), Place(1), frozenset([3]), None, seen.append))
    assert [url for rows, _, _ in parts for url in rows.column("url").to_pylist()] == [HERE[2], HERE[4], HERE[5]]
    assert seen == [2, None, 4, None, 5, None]
    assert parts[-1][2].number == 5
    assert sum(found.records for _, found, _ in parts) == 3


WAYS = {
    "plain": b"".join,
    "gzip members": lambda records: packed(*records),
    "one gzip": lambda records: gzip.compress(b"".join(records), mtime=0),
    "two gzip members": lambda records: packed(b"".join(records[:3]), b"".join(records[3:])),
    "zstd frames": lambda records: b"".join(map(zstandard.compress, records)),
    "one zstd": lambda records: zstandard.compress(b"".join(records)),
}


class Read(io.BytesIO):
    """A file that counts the bytes that are read."""

    bytes = 0

    def read(self, size=-1):
        part = super().read(size)
        self.bytes += len(part)
        return part


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("ids", ["own", "the same"])
def test_reading_goes_on_behind_any_record(way, ids):
    numbers = range(len(PAGES))
    records = (
        [one.replace(b"WARC/1.0", b"WARC/1.0\r\nX: %d" % n) for n, one in enumerate(PAGES)] if ids == "own" else PAGES
    )
    content = WAYS[way](records)
    places = [None for _ in numbers]
    reader = Records(io.BytesIO(content), 1 << 20)
    for number, _, _ in reader:
        places[number] = reader.place
    for place in places:
        reader = Records(io.BytesIO(content), 1 << 20, place)
        found = [(number, page) for number, _, page in reader if number > place.number]
        assert [number for number, _ in found] == [*numbers[place.number + 1 :]]
        assert all(f"image {number}".encode() in page for number, page in found)
        assert reader.damage is None


@pytest.mark.parametrize("way", ["plain", "gzip members", "zstd frames"])
def test_what_is_before_a_place_is_not_read_again(way):
    large = [page(random.Random(n).randbytes(1 << 18), url=f"https://a.example.org/{n}/") for n in range(12)]
    content = WAYS[way](large)
    reader = Records(io.BytesIO(content), 1 << 20)
    place = next(reader.place for number, _, _ in reader if number == 10)
    file = Read(content)
    assert [number for number, _, _ in Records(file, 1 << 20, place)] == [11]
    assert file.bytes < len(content) / 2


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("changed", [bytes.lower, bytes.upper, bytes.title])
@pytest.mark.parametrize("first", [0, 4])
def test_names_of_header_fields_in_any_case(way, changed, first):
    records = PAGES[:first]
    for one in PAGES[first:]:
        header, content = one.split(b"\r\n\r\n", 1)
        version, *fields = header.split(b"\r\n")
        fields = [changed(name) + b":" + value for name, value in (field.split(b":", 1) for field in fields)]
        records.append(b"\r\n".join([version, *fields]) + b"\r\n\r\n" + content)
    content = WAYS[way](records)
    found, said = urls(content)
    assert (found, said.damage, said.records) == (HERE, None, 6)
    cut, said = urls(content[:-30])
    assert cut[:4] == HERE[: len(cut)][:4]
    assert said.damage
