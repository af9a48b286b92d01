import pytest

from pipeline.match.spacing import entry_form, space_text


@pytest.mark.parametrize(
    ("text", "spaced"),
    [
        ("a cat", " a cat "),
        ("a,b.c;d:e?f!g`h", " a , b . c ; d : e ? f ! g ` h "),
        ("tab\tline\nreturn\r", " tab line return  "),
        ("no 'quotes' (or) brackets", " no 'quotes' (or) brackets "),
        ("", "  "),
        ("中文，标点", " 中文，标点 "),
    ],
)
def test_space_text(text, spaced):
    assert space_text(text) == spaced


@pytest.mark.parametrize(
    ("entry", "form"),
    [
        ("cat", " cat "),
        ("猫", "猫"),
        ("猫cat", "猫 cat".replace(" ", "") + " "),
        ("cat猫", " cat猫"),
        ("ไทย", "ไทย"),
        ("ພາສາລາວ", "ພາສາລາວ"),
        ("བོད", "བོད"),
        ("မြန်မာ", "မြန်မာ"),
        ("ខ្មែរ", "ខ្មែរ"),
        ("ネコ", " ネコ "),
        ("고양이", " 고양이 "),
        ("#tag", "#tag "),
        ("C++", " C++"),
        ("「引用」", "「引用」"),
        ("𠀀", "𠀀"),
        (" lead", "  lead "),
    ],
)
def test_metaclip2_form(entry, form):
    assert entry_form(entry, "metaclip2") == form
    assert entry_form(entry, "metaclip1") == f" {entry} "
