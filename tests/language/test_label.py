"""Batches with their languages: of models with other labels, and of pages."""

import pyarrow as pa
import pytest

from pipeline.language.codes import aliases
from pipeline.language.identify import identify, model_file
from pipeline.language.label import label_rows, with_codes
from pipeline.recipe import Language

FLORES = {"en": "eng_Latn", "de": "deu_Latn", "zh": "zho_Hans", "fa": "prs_Arab", "ar": "apc_Arab", "sq": "als_Latn"}
TEXTS = {
    "the house is on the hill": "en", "das haus steht auf dem berg": "de", "房子在山上，河水很清": "zh",
    "خانه روی تپه است": "fa", "البيت على التل": "ar", "shtëpia është në kodër": "sq", "dům stojí na kopci": "cs", "12": "und",
}  # fmt: skip


@pytest.fixture(scope="module")
def flores(tmp_path_factory):
    """The model lid.176 with labels as NLLB, OpenLID and GlotLID have them; those without one here stay."""
    content = model_file("lid.176").read_bytes()
    for code, name in FLORES.items():
        old = f"__label__{code}\0".encode()
        assert content.count(old) == 1
        content = content.replace(old, f"__label__{name}\0".encode())
    file = tmp_path_factory.mktemp("model") / "flores.ftz"
    file.write_bytes(content)
    return str(file)


def pool(texts, **more):
    dropped = pa.nulls(len(texts), pa.string())
    nothing = pa.nulls(len(texts), pa.string())
    columns = {"text": pa.array(texts, pa.string()), "page_language": nothing, "language": nothing, "dropped": dropped}
    return pa.record_batch(columns | more)


def test_a_model_with_other_labels(flores):
    assert identify(pa.array(["the house is on the hill"]), flores)[0].to_pylist() == ["eng_Latn"]
    options = Language(model=flores, keep=["en", "fas", "sq", "zh-Hans", "ar"])
    batch = label_rows(with_codes(pool(list(TEXTS)), options, flores), options, aliases(["en", "zh", "other"]))
    assert batch["language"].to_pylist() == list(TEXTS.values())
    kept = [reason is None for reason in batch["dropped"].to_pylist()]
    assert kept == [code in ("en", "zh", "fa", "ar", "sq") for code in TEXTS.values()]
    own = label_rows(with_codes(pool(list(TEXTS)), options, flores), options, aliases(["eng_Latn", "apc", "zh-Hans"]))
    assert own["language"].to_pylist()[:5] == ["eng_Latn", "de", "zh-Hans", "fa", "apc"]


def test_pages_in_other_spellings_find_labels(flores):
    options = Language(model=flores, page_language="prior")
    pages = pa.array(["de-CH", "eng", None], pa.string())
    batch = with_codes(pool(["Gift"] * 3, page_language=pages), options, flores)
    assert batch["language"].to_pylist()[:2] == ["deu_Latn", "eng_Latn"]
    plain = with_codes(pool(["Gift"] * 3, page_language=pages), Language(model=flores), flores)
    assert len(set(plain["language"].to_pylist())) == 1


def test_what_is_stored_is_the_text_and_dropped_rows_are_left_alone(flores):
    rows = pool(["DAS HAUS 12", "x\0y"], dropped=pa.array([None, "nul"]))
    batch = with_codes(rows, Language(), flores)
    assert batch["text"].equals(rows["text"])
    assert batch["language"].to_pylist() == ["deu_Latn", None]
    assert batch.schema.names == [*rows.schema.names, "language_score"]


def test_without_a_model():
    rows = pool(["a", "b"], language=pa.array(["en", "pt_BR"]))
    assert with_codes(rows, Language(identify="column"), None)["language"].to_pylist() == ["en", "pt_BR"]
    assert with_codes(rows, Language(match_first=True), None)["language"].to_pylist() == [None, None]
