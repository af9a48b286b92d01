import pytest

from pipeline.extract.srcset import candidates, largest


@pytest.mark.parametrize(
    ("srcset", "found"),
    [
        ("a.jpg 100w, b.jpg 200w", [("a.jpg", 100, 1), ("b.jpg", 200, 1)]),
        ("a.jpg, b.jpg 2x", [("a.jpg", None, 1), ("b.jpg", None, 2)]),
        ("a,b.jpg 1.5x,c.jpg 3x", [("a,b.jpg", None, 1.5), ("c.jpg", None, 3)]),
        ("a.jpg,b.jpg 2x", [("a.jpg,b.jpg", None, 2)]),
        ("a.jpg,, b.jpg", [("a.jpg", None, 1), ("b.jpg", None, 1)]),
        ("data:image/gif;base64,AA== 1x, b.jpg 2x", [("data:image/gif;base64,AA==", None, 1), ("b.jpg", None, 2)]),
        ("a.jpg 100w 50h, b.jpg 10h", [("a.jpg", 100, 1)]),
        ("a.jpg 1x 2x, b.jpg 1w 1x, c.jpg -1x, d.jpg 0w, e.jpg 1.5w, f.jpg x, g.jpg 1X", []),
        ("a.jpg (1x, 2x) , b.jpg 2x", [("b.jpg", None, 2)]),
        ("a.jpg 1e1x, b.jpg .5x, c.jpg +1x", [("a.jpg", None, 10), ("b.jpg", None, 0.5)]),
        ("", []),
        (" , ,", []),
        ("a.jpg\u00a01x", [("a.jpg\u00a01x", None, 1)]),
    ],
)
def test_candidates(srcset, found):
    assert candidates(srcset) == found


@pytest.mark.parametrize(
    ("srcsets", "url"),
    [
        (["a 1x, b 2x"], "b"),
        (["a 100w, b 50w", "c 300w"], "c"),
        (["a 9x", "b 100w"], "b"),
        (["data:x 9x, a 1x"], "a"),
        (["data:x 9x"], None),
        (["a, b"], "a"),
        ([""], None),
    ],
)
def test_the_largest(srcsets, url):
    assert largest(srcsets) == url


def test_a_long_srcset_takes_no_square_of_its_length():
    assert len(candidates("a.jpg 1x, " * 100_000)) == 100_000
    assert candidates("a.jpg " + "(" * 1_000_000) == []
