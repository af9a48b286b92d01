import pyarrow as pa
import pytest

from pipeline.errors import UsageError
from pipeline.language.identify import identify, load_model, model_file


def test_lid_176_knows_languages_and_takes_any_text():
    texts = [
        "The cat sits on the mat.",
        "Die Katze sitzt auf der Matte.\nSie schläft.",
        "猫が座っています",
        None,
        "",
        "a\0b",
    ]
    languages, scores = identify(pa.array(texts, pa.string()), str(model_file("lid.176")))
    assert languages.to_pylist()[:4] == ["en", "de", "ja", None]
    assert all(s is None or 0 <= s <= 1 for s in scores.to_pylist())
    assert len(languages) == len(texts)


def test_slices_and_no_rows():
    texts = pa.array(["x", "This is English text", "x"])[1:2]
    assert identify(texts, str(model_file("lid.176")))[0].to_pylist() == ["en"]
    assert len(identify(texts[:0], str(model_file("lid.176")))[0]) == 0


def test_wrong_models(tmp_path):
    with pytest.raises(UsageError, match="not found; allowed: lid.176"):
        model_file(str(tmp_path / "none.bin"))
    (tmp_path / "bad.ftz").write_bytes(b"not a model")
    with pytest.raises(UsageError, match="bad.ftz"):
        load_model(str(tmp_path / "bad.ftz"))
