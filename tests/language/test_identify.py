import pyarrow as pa
import pyarrow.compute as pc
import pytest

from pipeline.errors import UsageError
from pipeline.language.clean import has_no_language, lines
from pipeline.language.identify import SURE, identify, load_model, model_file


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


@pytest.fixture(scope="module")
def lid():
    return str(model_file("lid.176"))


@pytest.mark.parametrize(
    "text",
    ["", " \n\t", "🙂", "👍🏽 ✈️", "ℹ️", "1️⃣ 🇫🇷", "12 34", "٣٤", "…!? —", "IMG_1234.jpg", "DSC00012.JPG", "photo-1.png", " a.JPEG ",
     "IMG_20200101_123456", "P1010123", "sunset-over-the-sea.webp", "https://x.test/a?b=c", "www.x.test", "\0"],
)  # fmt: skip
def test_texts_without_language(lid, text):
    assert has_no_language(pa.array([text])).to_pylist() == [True]
    for clean in ("none", "lower", "letters"):
        assert [column.to_pylist() for column in identify(pa.array([text]), lid, clean)] == [["und"], [0.0]]


def test_texts_with_language(lid):
    texts = [
        "A cat.jpg",
        "猫の写真.jpg",
        "IMG_1234.jpg of a cat on a mat",
        "Ελλάδα 2021",
        "see www.x.test for the house",
        "ok",
    ]
    assert has_no_language(pa.array([*texts, None])).to_pylist() == [False] * len(texts) + [None]
    assert [code != "und" for code in identify(pa.array(texts), lid)[0].to_pylist()] == [True] * len(texts)


def test_every_emoji_is_without_language():
    emoji = pytest.importorskip("emoji")
    assert pc.all(has_no_language(pa.array(list(emoji.EMOJI_DATA)))).as_py()


def test_what_the_model_sees():
    texts = pa.array(["A  Cat\r\n\0 3x HTTP://X.test/Y?z=1, ÄÖ www.x", None])
    assert lines(texts, "none").to_pylist() == ["A  Cat  3x HTTP://X.test/Y?z=1, ÄÖ www.x", None]
    assert lines(texts, "lower").to_pylist() == ["a  cat  3x http://x.test/y?z=1, äö www.x", None]
    assert lines(texts, "letters").to_pylist() == ["a  cat   x   äö  ", None]


def test_capitals_do_not_mislead(lid):
    texts = pa.array(["EIN HUND LÄUFT ÜBER DIE WIESE", "UN CHIEN COURT DANS L'HERBE", "PES BĚŽÍ PO TRÁVĚ"])
    assert identify(texts, lid)[0].to_pylist() == ["de", "fr", "cs"]
    assert identify(texts, lid, "none")[0].to_pylist() != ["de", "fr", "cs"]


def test_a_page_decides_where_the_model_is_unsure(lid):
    texts = pa.array(["Gift", "Gift", "Gift", "The house is on the hill", "Gift", None, "", "Gift 12"])
    pages = pa.array(["de-AT", "en", None, "de", "xx-Nope", "de", "de", "DE"])
    alone, scores = (column.to_pylist() for column in identify(texts, lid))
    codes, found = (column.to_pylist() for column in identify(texts, lid, pages=pages))
    assert scores[0] < SURE < scores[3]
    assert codes == ["de", "en", alone[2], "en", alone[4], None, "und", "de"]
    assert [found[i] for i in (2, 3, 4, 5, 6)] == [scores[i] for i in (2, 3, 4, 5, 6)]
    assert found[0] == found[7]
    assert 0 < found[0] < 1
    ones = [identify(texts[i : i + 1], lid, pages=pages[i : i + 1]) for i in range(len(texts))]
    assert [one[0][0].as_py() for one in ones] == codes
    assert [one[1][0].as_py() for one in ones] == found


def test_a_page_in_the_spelling_of_today(lid):
    texts, pages = pa.array(["בית ישן", "Rumah", "Hus"]), pa.array(["iw", "in_ID", "nb-NO"])
    assert identify(texts, lid, pages=pages)[0].to_pylist() == ["he", "id", "no"]


def test_each_distinct_text_is_asked_for_once(lid, monkeypatch):
    asked = []

    class Counting:
        def predict(self, line, **given):
            asked.append(line)
            return load_model(lid).predict(line, **given)

    monkeypatch.setattr(
        "pipeline.language.identify.load_model", lambda file, real=load_model: Counting() if file == "x" else real(file)
    )
    texts = pa.array(["A cat 1", "a CAT 2", "a dog", None, "12", "A cat 1"] * 50)
    assert identify(texts, "x")[0].equals(identify(texts, lid)[0])
    assert sorted(asked) == ["a cat  ", "a dog"]
