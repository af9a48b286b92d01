import pytest

from pipeline.dedupe.shingles import long_enough, normalise, shingles


def test_normalise():
    assert normalise("  Ｆｕｌｌ\tWIDTH\n ﬁne ") == "full width fine"


def test_shingles():
    assert shingles("abcd", 3) == {"abc", "bcd"}
    assert shingles("ab", 3) == {"ab"}
    assert shingles("", 3) == {""}
    assert shingles("a b c d", 2, "words") == {"a b", "b c", "c d"}
    assert shingles("a b", 3, "words") == {"a b"}
    assert shingles("", 3, "words") == {""}


@pytest.mark.parametrize(
    ("text", "long"),
    [
        ("one two three four", False),
        ("one two three four five", True),
        ("一二三四五六七八九", False),
        ("一二三四五六七八九十", True),
        ("一二 三四 五六 七八 九十", True),
        ("カタカナひらがなあいう", True),
        ("ภาษาไทยสวย", True),
        ("한국어 두 단어", False),
        ("mostly latin 猫", False),
        ("", False),
    ],
)
def test_long_enough(text, long):
    assert long_enough(text, 5) is long
    assert long_enough(text, 0)
