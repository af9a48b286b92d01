"""Images that cannot be read, or are bombs, end none of the commands that look at images; they are counted."""

import json

import pytest

from pipeline.errors import UsageError
from pipeline.train import evaluate, search, tag
from pipeline.train.embedding import embed_shards
from pipeline.train.encoder import Encoder
from pipeline.train.retrieval import pairs_of
from pipeline.train.shards import ShardSet
from tests.images.files import huge

from .conftest import ALONE, COLOURS, drawn, invoke, write_tar

BAD = {"empty": b"", "text": b"no image", "bomb": huge("PNG"), "smaller bomb": huge("JPEG", 12_000, 9_000)}


def test_what_cannot_be_read_ends_no_evaluation(model, tmp_path, capsys):
    """Retrieval leaves such samples out, also where several have one image, and classification such images."""
    members = {}
    for number in range(20):
        content = list(BAD.values())[number % 5 - 1] if number % 5 else drawn(COLOURS[number // 5], "circle")
        members |= {
            f"{number:03d}.png": content,
            f"{number:03d}.txt": b"text",
            f"{number:03d}.cls": b"%d" % (number // 5),
        }
    folder = tmp_path / "set"
    (folder / "test").mkdir(parents=True)
    (folder / "classnames.txt").write_text("\n".join(COLOURS[:4]))
    tar = write_tar(folder / "test" / "0.tar", members)
    out = invoke(
        evaluate.app, "--model", model, "--shards", tar, "--classification", folder, "--output", tmp_path / "e.json"
    )
    found = json.loads((tmp_path / "e.json").read_text())
    assert found["retrieval"]["all"]["images"] == found["retrieval"]["all"]["texts"] == 4
    assert found["retrieval"]["all"]["unreadable"] == 16
    assert f"16 samples are left out: their images cannot be read, the first is {tar}: 001" in " ".join(
        out.stdout.split()
    )
    assert len(found["retrieval"]["all"]["unreadable_samples"]) == 16
    assert found["classification"]["set"]["unreadable_samples"][0].endswith("0.tar: 001")
    assert (found["classification"]["set"]["images"], found["classification"]["set"]["unreadable"]) == (4, 16)
    nothing = write_tar(
        tmp_path / "bad.tar", {name: content for name, content in members.items() if name[:3] in ("001", "002")}
    )
    with pytest.raises(UsageError, match="no image can be read"):
        shards = ShardSet([str(nothing)], tmp_path)
        pairs_of(
            embed_shards(Encoder(model), shards, tmp_path / "v", ALONE, lambda done: None, with_texts=True), shards
        )


def test_what_cannot_be_read_ends_no_search(model, tmp_path):
    members = {"1.png": drawn("red", "circle"), "1.txt": b"red", "2.png": drawn("blue", "cross"), "2.txt": b"blue"}
    for number, content in enumerate(BAD.values(), 3):
        members |= {f"{number}.png": content, f"{number}.txt": b"text"}
    tar, page = write_tar(tmp_path / "set.tar", members), tmp_path / "page.html"
    out = invoke(search.app, "index", "--model", model, "--shards", tar, "--index", tmp_path / "index")
    assert "2 images, 4 unreadable" in out.stdout
    # The second image is damaged after that.
    content = tar.read_bytes()
    at = content.index(members["2.png"])
    tar.write_bytes(content[:at] + huge("PNG") + content[at + len(huge("PNG")) :])
    out = invoke(search.app, "query", "--index", tmp_path / "index", "--text", "red", "--output", page)
    assert "1 images unreadable" in out.stdout
    assert page.read_text().count("<li>") == 1


@pytest.mark.parametrize("name", [*BAD, "missing"])
def test_an_image_that_is_asked_for_and_cannot_be_read(model, tmp_path, name):
    tar = write_tar(tmp_path / "set.tar", {"1.png": drawn("red", "circle"), "1.txt": b"red"})
    invoke(search.app, "index", "--model", model, "--shards", tar, "--index", tmp_path / "index")
    file = tmp_path / "asked.png"
    if name != "missing":
        file.write_bytes(BAD[name])
    with pytest.raises(UsageError, match="--image .*asked.png: not an image that can be read"):
        search.query(tmp_path / "index", None, file, 3, tmp_path / "page.html", None)
    if name != "missing":
        (tmp_path / "entries.txt").write_text("red\n")
        with pytest.raises(UsageError, match="asked.png: not an image that can be read"):
            tag.main(model, tmp_path / "entries.txt", [file], 5, "{c}", None, None)
