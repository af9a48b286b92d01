"""Codes in all spellings, against CLDR's aliases, and the lists that they find."""

import pyarrow as pa
import pytest

from pipeline.language.codes import MERGED, SHORTER, TODAY, aliases, canonical, found_lists, is_kept, label
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


def test_merged_codes_are_tags_and_go_where_iso_639_3_has_them():
    langcodes = pytest.importorskip("langcodes")
    macro = pytest.importorskip("langcodes.data_dicts").MACROLANGUAGES
    retired = {"eml"}  # still a code of Wikipedia
    assert all(langcodes.tag_is_valid(code) for code in MERGED)
    assert all(langcodes.tag_is_valid(code) for code in set(MERGED.values()) - retired)
    other = {code: MERGED[code] for code in MERGED if code in macro and canonical(macro[code]) != MERGED[code]}
    assert other == {}
    assert not set(MERGED) & (set(LID_176) | set(SHORTER) | set(TODAY))
    assert not set(MERGED) & set(MERGED.values())


# Labels of OpenLID, which are those of NLLB and FLORES-200; GlotLID has these and 1,900 more.
FLORES = """
ace_Arab ace_Latn acm_Arab acq_Arab aeb_Arab afr_Latn ajp_Arab aka_Latn als_Latn amh_Ethi apc_Arab arb_Arab ars_Arab
ary_Arab arz_Arab asm_Beng ast_Latn awa_Deva ayr_Latn azb_Arab azj_Latn bak_Cyrl bam_Latn ban_Latn bel_Cyrl bem_Latn
ben_Beng bho_Deva bjn_Arab bjn_Latn bod_Tibt bos_Latn bug_Latn bul_Cyrl cat_Latn ceb_Latn ces_Latn cjk_Latn ckb_Arab
crh_Latn cym_Latn dan_Latn deu_Latn dik_Latn dyu_Latn dzo_Tibt ell_Grek eng_Latn epo_Latn est_Latn eus_Latn ewe_Latn
fao_Latn fij_Latn fin_Latn fon_Latn fra_Latn fur_Latn fuv_Latn gaz_Latn gla_Latn gle_Latn glg_Latn grn_Latn guj_Gujr
hat_Latn hau_Latn heb_Hebr hin_Deva hne_Deva hrv_Latn hun_Latn hye_Armn ibo_Latn ilo_Latn ind_Latn isl_Latn ita_Latn
jav_Latn jpn_Jpan kab_Latn kac_Latn kam_Latn kan_Knda kas_Arab kas_Deva kat_Geor kaz_Cyrl kbp_Latn kea_Latn khk_Cyrl
khm_Khmr kik_Latn kin_Latn kir_Cyrl kmb_Latn kmr_Latn knc_Arab knc_Latn kon_Latn kor_Hang lao_Laoo lij_Latn lim_Latn
lin_Latn lit_Latn lmo_Latn ltg_Latn ltz_Latn lua_Latn lug_Latn luo_Latn lus_Latn lvs_Latn mag_Deva mai_Deva mal_Mlym
mar_Deva min_Latn mkd_Cyrl mlt_Latn mni_Beng mos_Latn mri_Latn mya_Mymr nld_Latn nno_Latn nob_Latn npi_Deva nso_Latn
nus_Latn nya_Latn oci_Latn ory_Orya pag_Latn pan_Guru pap_Latn pbt_Arab pes_Arab plt_Latn pol_Latn por_Latn prs_Arab
quy_Latn ron_Latn run_Latn rus_Cyrl sag_Latn san_Deva sat_Olck scn_Latn shn_Mymr sin_Sinh slk_Latn slv_Latn smo_Latn
sna_Latn snd_Arab som_Latn sot_Latn spa_Latn srd_Latn srp_Cyrl ssw_Latn sun_Latn swe_Latn swh_Latn szl_Latn tam_Taml
taq_Latn tat_Cyrl tel_Telu tgk_Cyrl tgl_Latn tha_Thai tir_Ethi tpi_Latn tsn_Latn tso_Latn tuk_Latn tum_Latn tur_Latn
twi_Latn tzm_Tfng uig_Arab ukr_Cyrl umb_Latn urd_Arab uzn_Latn vec_Latn vie_Latn war_Latn wol_Latn xho_Latn ydd_Hebr
yor_Latn yue_Hant zho_Hans zho_Hant zsm_Latn zul_Latn
""".split()


def test_labels_of_other_models_become_codes_of_languages_with_a_name():
    known = pytest.importorskip("babel").Locale("en").languages
    codes = {name: label(name, {}, by_model=True) for name in FLORES}
    # Without a name in CLDR's English.
    assert {code for code in codes.values() if code not in known} == {
        "azb", "bh", "cjk", "hne", "kbp", "taq",
    }  # fmt: skip
    merged = {name: code for name, code in codes.items() if name == "als_Latn" or name[:3] in MERGED}
    assert merged == {
        **dict.fromkeys(["acm_Arab", "acq_Arab", "aeb_Arab", "ajp_Arab", "apc_Arab", "ars_Arab"], "ar"),
        "als_Latn": "sq", "bho_Deva": "bh", "dik_Latn": "din", "fuv_Latn": "ff", "pbt_Arab": "ps", "prs_Arab": "fa", "quy_Latn": "qu",
    }  # fmt: skip


@pytest.mark.parametrize("name", ["als_Latn", "ALS-Latn", "aln"])
def test_a_code_that_wikipedia_has_for_another_language(name):
    assert label(name, aliases(["als", "sq", "other"])) == "sq"
    assert label("als", aliases(["als", "sq"])) == label("gsw-CH", aliases(["als", "sq"])) == "als"
    assert is_kept(name, ["sq"])
    assert not is_kept(name, ["als"])


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
        ("apc_Arab", ["ar"], "ar"),
        ("apc_Arab", ["ar", "apc"], "apc"),
        ("ary_Arab", ["ar"], "ary"),
        ("prs", ["fa"], "fa"),
        ("zxx_Zyyy", ["en"], "und"),
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
