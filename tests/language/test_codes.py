"""Codes in all spellings, against CLDR's aliases, and the lists that they find."""

import pyarrow as pa
import pytest

from pipeline.language.codes import SHORTER, TODAY, aliases, canonical, found_lists, is_kept, label
from pipeline.language.label import label_rows
from pipeline.recipe import Language

LID_176 = """
af als am an ar arz as ast av az azb ba bar bcl be bg bh bn bo bpy br bs bxr ca cbk ce ceb ckb co cs cv cy da de diq dsb
dty dv el eml en eo es et eu fa fi fr frr fy ga gd gl gn gom gu gv he hi hif hr hsb ht hu hy ia id ie ilo io is it ja
jbo jv ka kk km kn ko krc ku kv kw ky la lb lez li lmo lo lrc lt lv mai mg mhr min mk ml mn mr mrj ms mt mwl my myv mzn
nah nap nds ne new nl nn no oc or os pa pam pfl pl pms pnb ps pt qu rm ro ru rue sa sah sc scn sco sd sh si sk sl so sq
sr su sv sw ta te tg th tk tl tr tt tyv ug uk ur uz vec vep vi vls vo wa war wuu xal xmf yi yo yue zh
""".split()


def test_the_labels_of_lid_176_stay_as_they_are():
    assert len(LID_176) == 176
    for lists in ([], ["en", "zh", "sr", "other"], LID_176):
        assert [label(code, aliases(lists), by_model=True) for code in LID_176] == LID_176


def test_short_codes_are_those_of_cldr():
    known = pytest.importorskip("babel.core").get_global("language_aliases")
    ours = {"twi": "tw", "tgl": "tl", "fil": "tl", "hbs": "sh", "bih": "bh", "mol": "mo"}
    assert {code: short for code, short in SHORTER.items() if known.get(code) != short} == ours
    assert all(known[old].split("_")[0] == new for old, new in TODAY.items() if old != "nb")


@pytest.mark.parametrize(
    ("code", "lists", "want"),
    [
        ("EN", ["en"], "en"),
        ("en-US", ["en"], "en"),
        ("zh-CN", ["zh"], "zh"),
        ("pt_BR", ["pt"], "pt"),
        ("iw", ["he"], "he"),
        ("IW_il", ["he"], "he"),
        ("in", ["id"], "id"),
        ("ji", ["yi"], "yi"),
        ("jw", ["jv"], "jv"),
        ("mo", ["ro"], "ro"),
        ("mol", ["ro"], "ro"),
        ("sh", ["sr"], "sr"),
        ("hbs_Latn", ["sr"], "sr"),
        ("sh", ["sh", "sr"], "sh"),
        ("hbs", ["sh", "sr"], "sh"),
        ("nb", ["no"], "no"),
        ("nob_Latn", ["no"], "no"),
        ("nb", ["nb"], "nb"),
        ("no", ["nb"], "nb"),
        ("nb", ["nb", "no"], "nb"),
        ("no", ["nb", "no"], "no"),
        ("nn", ["nb", "no"], "nn"),
        ("zh-Hant-TW", ["zh"], "zh"),
        ("zh-Hant-TW", ["zh", "zh-Hant"], "zh-Hant"),
        ("ZH_HANT", ["zh_hant"], "zh_hant"),
        ("zh-CN", ["zh", "zh-Hant"], "zh"),
        ("zh", ["zh-Hant"], "zh"),
        ("sr_Latn", ["sr"], "sr"),
        ("zho_Hans", ["zh"], "zh"),
        ("cmn-Hans-CN", ["zh"], "zh"),
        ("chi", ["zh"], "zh"),
        ("ger", ["de"], "de"),
        ("deu_Latn", ["de"], "de"),
        ("eng", ["en", "eng"], "eng"),
        ("en", ["en", "eng"], "en"),
        ("en", ["eng"], "eng"),
        ("en-GB", ["EN"], "EN"),
        ("EN", ["EN", "en"], "en"),
        ("he", ["he", "iw"], "he"),
        ("iw", ["he", "iw"], "iw"),
        ("heb", ["he", "iw"], "he"),
        ("he", ["iw"], "iw"),
        ("pt-BR", ["pt-br", "pt"], "pt-br"),
        ("pt-PT", ["pt-br", "pt"], "pt"),
        ("fr-CA", ["en"], "fr"),
        ("be-x-old", ["be-x-old", "be"], "be-x-old"),
        ("yue", ["zh"], "yue"),
        ("und", ["other"], "und"),
    ],
)
def test_codes_find_their_lists(code, lists, want):
    assert label(code, aliases(lists)) == want


def test_a_list_of_a_plain_name_changes_no_label():
    assert aliases(["en", "de", "other", "haw"]) == {}
    assert aliases(["en", "zh-Hant"]) == aliases(["zh-Hant", "fr", "other"]) == {"zh-hant": "zh-Hant"}


def test_codes_that_are_kept():
    kept = ["zh", "pt-BR", "iw"]
    codes = ["zh", "zh-CN", "ZHO_Hant_TW", "pt-BR", "pt_br", "pt", "pt-PT", "he", "heb-IL", "zha", "und", "pt-BRA"]
    assert [is_kept(code, kept) for code in codes] == [True] * 5 + [False] * 2 + [True] * 2 + [False] * 3
    assert is_kept("und", ["und"])
    assert canonical(" EN_us ") == "en-us"


def test_the_lists_of_a_column_of_codes():
    codes = pa.array(["en", "en-US", "de", None, "sh", "fr"])
    assert found_lists(codes, ["EN", "de", "other"]).to_pylist() == ["EN", "EN", "de", "other", "other", "other"]
    assert found_lists(codes, ["en"]).to_pylist() == ["en", "en", None, None, None, None]


def rows(*lines):
    columns = list(zip(*lines, strict=True))
    kinds = {"language": pa.string(), "language_score": pa.float64(), "dropped": pa.string()}
    return pa.record_batch({name: pa.array(c, k) for (name, k), c in zip(kinds.items(), columns, strict=True)})


def test_rows_of_a_model():
    found = rows(("en", 0.9, None), ("en", 0.2, None), ("de", 0.9, None), (None, None, None), ("fr", 0.9, "nul"))
    options = Language(identify="fasttext", threshold=0.5, keep=["en"])
    assert list(map(tuple, map(dict.values, label_rows(found, options, {}).to_pylist()))) == [
        ("en", 0.9, None), ("und", 0.2, "language_not_kept"), ("de", 0.9, "language_not_kept"),
        ("und", None, "language_not_kept"), (None, 0.9, "nul"),
    ]  # fmt: skip


def test_rows_of_a_column():
    found = rows(("EN", None, None), ("zh_Hant", None, None), (None, None, None), ("fra", None, None))
    labels = label_rows(found, Language(identify="column", keep=["eng", "zh", "und"]), aliases(["zh-hant"]))
    assert labels["language"].to_pylist() == ["en", "zh-hant", "und", "fr"]
    assert labels["dropped"].to_pylist() == [None, None, None, "language_not_kept"]
    assert label_rows(found[:0], Language(identify="none"), {}).num_rows == 0
