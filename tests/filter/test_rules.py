"""Rules for texts, on rows of their own."""

from pipeline.filter.options import Filter
from pipeline.filter.spark import by_text


def test_words_and_characters_in_every_script(spark):
    texts = ["one two", "one", "  ", "a b", "红色的猫", "红色", "猫", "あか い", "แมว", "x 猫"]
    rows = spark.createDataFrame([(text,) for text in texts], "text string")
    found = {row["text"]: row["dropped"] for row in by_text(rows, Filter(min_words=2, min_characters=3)).collect()}
    assert found == {
        "one two": None, "one": "few_words", "  ": "few_words", "a b": None, "红色的猫": None, "红色": "few_words", "猫": "few_words",
        "あか い": None, "แมว": "few_words", "x 猫": None,
    }  # fmt: skip
