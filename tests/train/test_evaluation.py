"""The evaluation against brute force, and what the users of a model do with it."""

import json
import shutil

import numpy as np
import pyarrow.parquet as pq
import pytest

from pipeline.errors import PipelineError, UsageError
from pipeline.train import embed, evaluate, moderate, score, search, tag
from pipeline.train.classification import class_embeddings, classify, open_dataset
from pipeline.train.embedding import embed_shards
from pipeline.train.encoder import Encoder
from pipeline.train.images import decode
from pipeline.train.retrieval import Pairs, image_ranks, mean_with_interval, pairs_of, retrieval, text_ranks
from pipeline.train.shards import ShardSet
from tests.images.files import huge

from .conftest import ALONE, COLOURS, SHAPES, drawn, invoke, write_tar


def random_pairs(images=9, texts=25, seed=0):
    rng = np.random.default_rng(seed)
    of = np.concatenate([np.arange(images), rng.integers(0, images, texts - images)])
    unit = [v / np.linalg.norm(v, axis=1, keepdims=True) for v in rng.normal(size=(2, texts, 4))]
    return Pairs(unit[0][:images], unit[1], of, np.array(["en", "de"] * texts)[:texts])


def test_ranks_by_hand():
    pairs = random_pairs()
    for text, rank in enumerate(text_ranks(pairs)):
        similar = [float(pairs.texts[text] @ p) for p in pairs.images]
        assert rank == sum(s > similar[pairs.image_of[text]] for s in similar)
    for number, rank in enumerate(image_ranks(pairs)):
        similar = [float(pairs.images[number] @ t) for t in pairs.texts]
        order = sorted(range(len(similar)), key=lambda t: -similar[t])
        assert rank == next(i for i, t in enumerate(order) if pairs.image_of[t] == number)


def test_a_model_that_says_the_same_of_all_is_at_chance_or_below():
    pairs = random_pairs()
    dull = Pairs(np.ones((9, 4)) / 2, np.ones((25, 4)) / 2, pairs.image_of, pairs.languages)
    assert (text_ranks(dull) == 8).all()
    assert (image_ranks(dull) == 25 - np.bincount(pairs.image_of)).all()


def test_recalls_and_chance():
    found = retrieval(random_pairs())
    assert set(found) == {"all", "de", "en"}
    assert found["all"]["text_to_image"]["chance"] == pytest.approx(1 / 9)
    assert found["all"]["image_to_text"]["chance"] == pytest.approx(25 / 9 / 25)
    assert found["en"]["texts"] + found["de"]["texts"] == 25
    interval = mean_with_interval(np.array([True] * 30 + [False] * 70))
    assert interval["low"] < 0.3 < interval["high"]
    assert 0.05 < interval["high"] - interval["low"] < 0.3


def test_a_trained_model_finds_its_images(model, shard_set, tmp_path):
    out = invoke(evaluate.app, "--model", model, "--shards", shard_set, "--output", tmp_path / "evaluation.json")
    found = json.loads((tmp_path / "evaluation.json").read_text())["retrieval"]
    assert set(found) == {"all", "en", "de"}
    assert found["all"]["images"] == 30  # of 60 samples; equal bytes are one image
    assert found["all"]["text_to_image"]["recall@1"]["value"] > 5 * found["all"]["text_to_image"]["chance"]
    assert "t→i@1" in out.stdout


@pytest.fixture
def benchmark_folder(tmp_path):
    """CLIP_benchmark's webdataset layout."""
    folder = tmp_path / "colours"
    (folder / "test").mkdir(parents=True)
    (folder / "classnames.txt").write_text("\n".join(COLOURS) + "\n")
    (folder / "zeroshot_classification_templates.txt").write_text("a {c} square\na {c} circle\n")
    members = {}
    for number in range(60):
        members[f"s{number:04d}.cls"] = str(number % 10).encode()
        members[f"s{number:04d}.webp"] = drawn(COLOURS[number % 10], SHAPES[number % 2])
    write_tar(folder / "test" / "0.tar", members)
    return folder


def test_zero_shot_classification(model, benchmark_folder, tmp_path):
    invoke(evaluate.app, "--model", model, "--classification", benchmark_folder, "--output", tmp_path / "found.json")
    found = json.loads((tmp_path / "found.json").read_text())["classification"]["colours"]
    assert (found["images"], found["classes"], found["templates"], found["chance"]) == (60, 10, 2, 0.1)
    encoder, data = Encoder(model), open_dataset(benchmark_folder)
    vectors = class_embeddings(encoder, data.classes, data.templates)
    hits = {}
    for image, number, _ in data.samples:
        hits.setdefault(number, []).append(int((encoder.encode_images([decode(image)]) @ vectors.T).argmax()) == number)
    assert found["top_1"]["value"] == pytest.approx(np.mean([hit for found in hits.values() for hit in found]))
    assert found["mean_class_recall"] == pytest.approx(np.mean([np.mean(h) for h in hits.values()]))
    assert found["top_1"]["value"] > 0.3


def test_an_image_folder(model, tmp_path):
    for colour in ("red", "light_blue"):
        (tmp_path / "set" / colour).mkdir(parents=True)
        (tmp_path / "set" / colour / "a.png").write_bytes(drawn("red", "circle"))
    data = open_dataset(tmp_path / "set")
    assert data.classes == ["light blue", "red"]
    found = classify(Encoder(model), data, ALONE, lambda done: None)
    assert found["images"] == 2
    assert found["top_1"]["value"] == found["mean_class_recall"] == 0.5


@pytest.mark.parametrize(
    ("prepare", "message"),
    [
        (lambda folder: None, "neither classnames.txt with tars nor a folder"),
        (lambda folder: (folder / "zeroshot_classification_templates.txt").write_text("a photo\n"), "has no {c}"),
        (
            lambda folder: [(folder / "a").mkdir(), (folder / "classnames.txt").write_text("x\ny\n")],
            "2 class names and 1",
        ),
    ],
)
def test_a_folder_that_is_no_data_set(tmp_path, prepare, message):
    prepare(tmp_path)
    with pytest.raises(UsageError, match=message):
        open_dataset(tmp_path)


def test_classes_out_of_range(benchmark_folder):
    (benchmark_folder / "classnames.txt").write_text("red\n")
    with pytest.raises(UsageError, match="is of class 1; there are 1"):
        list(open_dataset(benchmark_folder).samples)


def test_the_encoder_refuses_what_is_no_model(tmp_path):
    with pytest.raises(UsageError, match="no config.json"):
        Encoder(tmp_path)
    (tmp_path / "config.json").write_text("{}")
    with pytest.raises(UsageError, match="--model"):
        Encoder(tmp_path)


def test_scores_are_similarities_and_go_on_by_shard(model, shard_set, tmp_path):
    invoke(score.app, "--model", model, "--shards", shard_set, "--output", tmp_path / "scores")
    files = sorted((tmp_path / "scores").glob("*.parquet"))
    assert [file.name[:6] for file in files] == ["00000-", "00001-", "00002-"]
    table = pq.read_table(files[1], partitioning=None)
    encoder, shards = Encoder(model), ShardSet([str(shard_set)], tmp_path)
    for row in (0, 7):
        key, content, text, *_ = shards.sample(1, row)
        assert table["key"][row].as_py() == key
        similarity = float((encoder.encode_images([decode(content)]) @ encoder.encode_texts([text]).T)[0, 0])
        assert table["score"][row].as_py() == pytest.approx(similarity, abs=1e-5)
    files[1].unlink()
    kept = files[0].stat().st_mtime_ns
    out = invoke(score.app, "--model", model, "--shards", shard_set, "--output", tmp_path / "scores")
    assert "20 samples of 1 tar(s), 0 unreadable; 2 tar(s) were done" in out.stdout
    assert files[0].stat().st_mtime_ns == kept
    assert pq.read_table(files[1], partitioning=None).equals(table)


@pytest.mark.parametrize("of", ["images", "texts"])
def test_vectors_are_written_by_key(model, tmp_path, of):
    members = {"1.png": drawn("red", "circle"), "1.txt": b"red", "2.png": b"nothing", "2.txt": b"blue"}
    tar = write_tar(tmp_path / "set.tar", members)
    invoke(embed.app, "--model", model, "--shards", tar, "--output", tmp_path / "vectors", "--of", of)
    found = pq.read_table(next((tmp_path / "vectors").glob("set-*.parquet")), partitioning=None)
    assert found["key"].to_pylist() == ["1", "2"]
    encoder = Encoder(model)
    red = encoder.encode_images([decode(members["1.png"])]) if of == "images" else encoder.encode_texts(["red"])
    assert found["vector"][0].as_py() == pytest.approx(red[0].tolist(), abs=1e-5)
    assert found["vector"][1].as_py() is None
    other = "texts" if of == "images" else "images"
    with pytest.raises(UsageError, match="holds columns of another of"):
        invoke(embed.app, "--model", model, "--shards", tar, "--output", tmp_path / "vectors", "--of", other)


def test_an_unreadable_sample_has_no_score(model, tmp_path):
    members = {"1.png": drawn("red", "circle"), "1.txt": b"red", "2.png": b"nothing", "2.txt": b"blue"}
    members |= {"3.png": huge("PNG"), "3.txt": b"green"}
    tar = write_tar(tmp_path / "set.tar", members)
    invoke(score.app, "--model", model, "--shards", tar, "--output", tmp_path / "scores")
    found = {
        line["key"]: line["score"]
        for line in pq.read_table(next((tmp_path / "scores").glob("set-*.parquet"))).to_pylist()
    }
    assert found["2"] is None
    assert found["3"] is None
    assert -1 <= found["1"] <= 1


COMMANDS = ["retrieval", "classification", "classes", "score", "embed", "moderate", "search", "tag", "entries"]


@pytest.mark.parametrize("command", COMMANDS)
@pytest.mark.parametrize("value", ["nan", "inf"])
def test_vectors_that_are_not_finite_end_a_command(model, shard_set, benchmark_folder, tmp_path, command, value):
    """The fault: with NaN everywhere retrieval and classification were at 100%."""
    import torch
    from safetensors.torch import load_file, save_file

    broken = shutil.copytree(model, tmp_path / "model")
    weights = load_file(broken / "model.safetensors")
    tower = "text_projection" if command in ("classes", "entries") else "visual_projection"
    weights[f"{tower}.weight"] = torch.full_like(weights[f"{tower}.weight"], float(value))
    save_file(weights, broken / "model.safetensors", {"format": "pt"})
    (tmp_path / "concepts.txt").write_text("red\nblue\n")
    (tmp_path / "red.png").write_bytes(drawn("red", "circle"))
    shards, concepts = ("--shards", shard_set), tmp_path / "concepts.txt"
    app, *options = {
        "retrieval": (evaluate.app, *shards),
        "classification": (evaluate.app, "--classification", benchmark_folder),
        "classes": (evaluate.app, "--classification", benchmark_folder),
        "score": (score.app, *shards, "--output", tmp_path / "out"),
        "embed": (embed.app, *shards, "--output", tmp_path / "out"),
        "moderate": (moderate.app, *shards, "--concepts", concepts, "--output", tmp_path / "out"),
        "search": (search.app, "index", *shards, "--index", tmp_path / "out"),
        "tag": (tag.app, "--entries", concepts, tmp_path / "red.png"),
        "entries": (tag.app, "--entries", concepts, tmp_path / "red.png"),
    }[command]
    at = 1 if command == "search" else 0
    first = shards[1] / "00000.tar"
    named = {"classification": "s0000", "classes": "text 'a red square'", "tag": "red.png", "entries": "text 'red'"}
    with pytest.raises(PipelineError, match=f"{named.get(command, f'{first}: ')}.*the model gives no finite vector"):
        invoke(app, *options[:at], "--model", broken, *options[at:])
    assert not list(tmp_path.glob("out/*.parquet"))
    assert not (tmp_path / "evaluation.json").exists()


@pytest.mark.parametrize("command", ["score", "moderate"])
def test_rows_written_are_samples_said(model, tmp_path, command):
    """The fault: tars of one name wrote one file (500 samples said, 200 rows there), and none ended in a traceback."""
    counts = {"a/00000.tar": 3, "b/00000.tar": 2, "b/00001.tar": 0, "b/00000.x.tar": 1}
    for name, count in counts.items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        samples = {f"{name[0]}{name[-5]}{i}": drawn(COLOURS[i], "circle") for i in range(count)}
        members = {f"{key}.png": image for key, image in samples.items()}
        members |= {f"{key}.txt": b"a circle" for key in samples} | {"other.json": b"{}"}
        write_tar(tmp_path / name, members)
    (tmp_path / "concepts.txt").write_text("red\n")
    app = {"score": score.app, "moderate": moderate.app}[command]
    options = ["--concepts", tmp_path / "concepts.txt"] if command == "moderate" else []
    shards = ["--shards", tmp_path / "a", "--shards", tmp_path / "b"]
    out = invoke(app, "--model", model, *shards, *options, "--output", tmp_path / "columns")
    assert "6 samples of 4 tar(s), 0 unreadable" in out.stdout
    files = sorted((tmp_path / "columns").glob("*.parquet"))
    assert sorted(pq.read_metadata(file).num_rows for file in files) == [0, 1, 2, 3]
    tables = [pq.read_table(file, partitioning=None) for file in files]
    keys = [key for table in tables for key in table["key"].to_pylist()]
    assert len(set(keys)) == 6
    assert all(table.schema.equals(tables[0].schema) for table in tables)
    # A tar that changes is done again, and only that.
    write_tar(tmp_path / "a" / "00000.tar", {"new.png": drawn("red", "cross"), "new.txt": b"x"})
    out = invoke(app, "--model", model, *shards, *options, "--output", tmp_path / "columns")
    assert "1 samples of 1 tar(s), 0 unreadable; 3 tar(s) were done" in out.stdout
    assert sorted(tmp_path.glob("columns/*.parquet")) == files
    # Another model's columns are not gone on with.
    other = shutil.copytree(model, tmp_path / "model")
    (other / "config.json").write_text((other / "config.json").read_text() + "\n")
    with pytest.raises(UsageError, match="holds columns of another model"):
        invoke(app, "--model", other, *shards, *options, "--output", tmp_path / "columns")


def test_moderation_names_the_concept(model, shard_set, tmp_path):
    (tmp_path / "concepts.txt").write_text("a red square\na red circle\n")
    (tmp_path / "neutral.txt").write_text("".join(f"a {c} {s}\n" for c in COLOURS[1:] for s in SHAPES))
    invoke(moderate.app, "--model", model, "--shards", shard_set, "--concepts", tmp_path / "concepts.txt",
           "--neutral", tmp_path / "neutral.txt", "--output", tmp_path / "columns")  # fmt: skip
    lines = pq.read_table(next((tmp_path / "columns").glob("00000-*.parquet")), partitioning=None).to_pylist()
    red = [line["unwanted"] for i, line in enumerate(lines) if i % 10 == 0]
    rest = [line["unwanted"] for i, line in enumerate(lines) if i % 10]
    assert np.mean(red) > np.mean(rest)
    assert {line["concept"] for line in lines} <= {"a red square", "a red circle"}
    assert all(0 <= line["unwanted"] <= 1 for line in lines)


def test_tags(model, tmp_path):
    (tmp_path / "red.png").write_bytes(drawn("red", "square"))
    (tmp_path / "entries.txt").write_text("".join(f"a {c} {s}\n" for c in COLOURS for s in SHAPES))
    invoke(tag.app, "--model", model, "--entries", tmp_path / "entries.txt", "--top", 3, "--output", tmp_path / "tags.jsonl",
           tmp_path / "red.png")  # fmt: skip
    (line,) = [json.loads(line) for line in (tmp_path / "tags.jsonl").read_text().splitlines()]
    assert list(line["labels"].values()) == sorted(line["labels"].values(), reverse=True)
    encoder = Encoder(model)
    names = (tmp_path / "entries.txt").read_text().splitlines()
    similar = (encoder.encode_images([decode(drawn("red", "square"))]) @ encoder.encode_texts(names).T)[0]
    assert set(line["labels"]) == {names[i] for i in np.argsort(-similar)[:3]}


def test_pairs_of_a_set(model, shard_set, tmp_path):
    shards = ShardSet([str(shard_set)], tmp_path)
    embedded = embed_shards(Encoder(model), shards, tmp_path / "v", ALONE, lambda done: None, with_texts=True)
    pairs = pairs_of(embedded, shards)
    assert pairs.texts.shape == (60, 32)
    assert pairs.images.shape == (30, 32)
    assert (pairs.image_of[:30] == np.arange(30)).all()
    assert (pairs.image_of[30:] == np.arange(30)).all()
    assert np.allclose(np.linalg.norm(pairs.texts, axis=1), 1, atol=1e-5)
