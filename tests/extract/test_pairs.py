import pyarrow as pa
import pyarrow.compute as pc
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.extract.found import Found
from pipeline.extract.links import LINKS, Rows
from pipeline.extract.pairs import kept_pairs
from pipeline.extract.repeats import SMALLEST, Repeats
from pipeline.extract.spaces import SPACES, one_spaced

HERE = "https://a.example.org/"


def row(src="x.jpg", text="a cat", width=None, height=None, out=None):
    """A row, and why its page opted out."""
    return (src, text, "alt", width, height), out


def links_of(rows):
    """Rows, each of a page of its own."""
    found, rows = Rows(), list(rows)
    for page, (one, _) in enumerate(rows):
        found.begin(page)
        found.append(one)
    return found.links([(HERE, HERE, None, out) for _, out in rows])[0]


def kept(*rows):
    links, found = links_of(rows), Found()
    pairs = Repeats().fresh(kept_pairs(links, found), found)
    assert found.links == len(rows) == found.pairs + found.dropped.total()
    return pairs.to_pylist(), found


@pytest.mark.parametrize(
    ("given", "reason"),
    [
        (row(text=None), "no_text"),
        (row(text=" \u00a0\u3000\n"), "empty_text"),
        (row(src="data:x"), "data_url"),
        (row(width=1, height=1), "tracking_pixel"),
        (row(width=0, height=1), "tracking_pixel"),
        (row(src="data:x", text=None, width=1, height=1, out="opted_out_noai"), "opted_out_noai"),
        (row(src="data:x", width=1, height=1), "data_url"),
        (row(text=None, width=1, height=1), "tracking_pixel"),
    ],
)
def test_a_row_is_dropped_by_the_first_reason_that_holds(given, reason):
    pairs, found = kept(row(), given)
    assert len(pairs) == 1
    assert found.dropped == {reason: 1}


def test_one_side_of_a_pixel_is_no_tracking_pixel():
    assert len(kept(row(width=1, height=200), row("y.jpg", width=1))[0]) == 2


def test_repeats_are_dropped_over_batches_and_the_first_stays():
    repeats, found, rows = Repeats(), Found(), []
    for batch in range(20):
        links = links_of(row(f"{(batch * 7 + at) % 150}.jpg", f"text {at % 3}") for at in range(100))
        rows += repeats.fresh(kept_pairs(links, found), found).to_pylist()
    assert len({(one["url"], one["text"]) for one in rows}) == len(rows) == found.pairs == found.relative
    assert found.links == 2000 == found.pairs + found.dropped["repeated"]


def test_repeats_are_found_when_the_table_has_grown():
    repeats, found = Repeats(), Found()
    for start in (0, 3000, 1000, 20_000, 0):
        links = links_of(row(f"{at}.jpg") for at in range(start, start + 5000))
        repeats.fresh(kept_pairs(links, found), found)
    assert (found.pairs, found.dropped) == (13_000, {"repeated": 12_000})
    assert len(repeats.table) > SMALLEST


def test_no_link_at_all():
    found = Found()
    assert kept_pairs(links_of([]), found).num_rows == 0
    assert links_of([]).schema == LINKS
    assert found == Found()


@given(
    st.lists(
        st.text(st.sampled_from("ab \t\n\r\x0b\x0c\x85\u00a0\u1680\u2003\u2028\u3000\x00\u200d\ufeff"), max_size=12)
    )
)
def test_white_space_of_any_kind_becomes_single_spaces(texts):
    spaces = "\t\n\r\x0b\x0c\x85\u00a0\u1680\u2003\u2028\u3000\x00"
    expected = [" ".join("".join(" " if c in spaces else c for c in text).split(" ")) for text in texts]
    expected = [" ".join(filter(None, text.split(" "))) for text in expected]
    assert one_spaced(pa.array(texts, pa.string())).to_pylist() == expected


@pytest.mark.parametrize("before", ["", "a", "1234567", "12345678", "1234567ä"])
def test_any_sign_is_white_space_or_not_as_unicode_has_it(before):
    signs = [chr(code) for code in range(0x110000) if not 0xD800 <= code < 0xE000]
    texts = pa.array([before + sign + "b" for sign in signs])
    mended = pc.utf8_trim(pc.replace_substring_regex(texts, SPACES, " "), " ")
    assert one_spaced(texts).equals(mended)


@pytest.mark.parametrize("at", range(20))
def test_spaces_are_found_at_any_place(at):
    for text in ("x" * at + "  y", "x" * at + " y", "x" * at + " ", "x" * at + "\x7f" + "y" * at, " " * at + "ä " * at):
        assert one_spaced(pa.array([text])).to_pylist() == [" ".join(text.replace("\x7f", " ").split())]
