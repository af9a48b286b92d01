"""What a path or URL names, for Arrow, fsspec and Spark."""

import os
import subprocess
import sys

import pyarrow.fs as pafs
import pytest

from pipeline import paths, recipe_file, storage
from pipeline.errors import UsageError
from pipeline.recipe_file import found_path, local_path
from tests.hosted import open_hosted
from tests.odd_names import ODD_NAMES


@pytest.fixture(autouse=True)
def hosted():
    open_hosted()


def round_trip(folder: str, name: str) -> None:
    """Writes, finds, reads, moves and removes a file of an odd name in a folder of that name."""
    place = storage.join(folder, name)
    storage.make_folder(place)
    file = storage.join(place, f"f{name}")
    storage.write_bytes(file, b"content")
    assert storage.exists(file)
    assert storage.names(place) == [f"f{name}"]
    pattern = storage.join(folder, name, "f*")
    for found in map(storage.list_files, (file, place, pattern, storage.join(folder, "**", "f*"))):
        assert [(path, size) for path, size, _ in found] == [(storage.absolute(file), 7)]
        assert storage.read_bytes(found[0][0]) == b"content"
        assert storage.base_name(found[0][0]) == f"f{name}"
    storage.replace(file, storage.join(place, f"g{name}"))
    assert storage.names(place) == [f"g{name}"]
    assert storage.files_below(file) == []
    storage.write_json(storage.join(place, "v.json"), {"a": 1})
    storage.remove(storage.join(place, f"g{name}"))
    storage.replace(place, storage.join(folder, "moved"))
    assert storage.read_json(storage.join(folder, "moved", "v.json")) == {"a": 1}
    storage.replace(storage.join(folder, "moved"), place)
    assert storage.names(folder) == [name]
    storage.remove(place)
    assert not storage.exists(place)


@pytest.mark.parametrize("form", ["{}", "file://{}", "file:{}", "file://localhost{}"])
def test_local_files_of_odd_names(tmp_path, form):
    for name in ODD_NAMES:
        round_trip(form.format(tmp_path), name)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("scheme", ["local", "memory", "hosted"])
def test_files_of_odd_names_in_fsspec(tmp_path, scheme):
    folder = {"local": f"local://{tmp_path}", "memory": "memory://odd", "hosted": "hosted://user@host:21/odd"}[scheme]
    for name in ODD_NAMES:
        if "::" not in name:  # fsspec's sign for a chain of stores
            round_trip(storage.join(folder, "here"), name)


@pytest.mark.parametrize("scheme", ["local", "memory"])
def test_removing_and_moving_take_no_name_for_a_pattern(tmp_path, scheme):
    """What fsspec itself would do with ``rm`` and ``mv``."""
    folder = f"{scheme}://{tmp_path}"
    for name in ("x[1]", "x1", "a*", "aa"):
        storage.make_folder(storage.join(folder, name))
        storage.write_bytes(storage.join(folder, name, "f"), name.encode())
    storage.remove(storage.join(folder, "a*"))
    storage.replace(storage.join(folder, "x[1]", "f"), storage.join(folder, "x[1]", "g"))
    assert storage.read_bytes(storage.join(folder, "x[1]", "g")) == b"x[1]"
    storage.remove(storage.join(folder, "x[1]", "g"))
    assert [storage.read_bytes(path) for path, _, _ in storage.list_files(folder)] == [b"aa", b"x1"]
    storage.remove(folder)


def test_s3_by_its_url_alone(bucket, monkeypatch):
    """``endpoint_override`` and ``region`` go along; the environment has the keys alone."""
    endpoint = os.environ["AWS_ENDPOINT_URL"]
    for name in ("AWS_ENDPOINT_URL", "AWS_DEFAULT_REGION"):
        monkeypatch.delenv(name)
    options = f"?endpoint_override={endpoint}&region=us-east-1"
    for name in ("größe 日本", "x[1]", "a%20b", "q?x=1", "a#b", "a+b", "a:b", "a\\b", "end "):
        round_trip(f"{bucket}/odd{options}", name)
    for scheme in ("s3", "s3a"):
        folder = f"{scheme}://bucket/in{options}"
        file = f"{scheme}://bucket/in/a b/x.tar{options}"
        storage.write_bytes(file, b"x")
        for pattern in ("in", "*", "in/*/x.tar", "**/*.tar", "in/**"):
            assert [path for path, _, _ in storage.list_files(f"{scheme}://bucket/{pattern}{options}")] == [file]
        assert storage.names(folder) == ["a b"]


@pytest.mark.parametrize(
    ("url", "spark", "in_arrow"),
    [
        ("s3://bucket/a b/c#d?region=eu-1", "s3://bucket/a b/c#d", "bucket/a b/c#d"),
        ("s3a://bucket/100%?region=eu-1", "s3a://bucket/100%", "bucket/100%"),
        ("S3://bucket/x?endpoint_override=http://127.0.0.1:9&region=x", "S3://bucket/x", "bucket/x"),
        ("s3://key:secret@bucket/x/?region=x", "s3://bucket/x/", "bucket/x"),  # Hadoop refuses keys
        ("s3://bucket?region=x", "s3://bucket", "bucket"),
        ("s3://bucket/part-?.x?region=x", "s3://bucket/part-?.x", "bucket/part-?.x"),
        (
            "abfs://container@account.dfs.core.windows.net/p a/x[1]",
            "abfs://container@account.dfs.core.windows.net/p a/x[1]",
            "container/p a/x[1]",
        ),
        (
            "abfss://container@account.dfs.core.windows.net/p%20?enable_tls=true",
            "abfss://container@account.dfs.core.windows.net/p%20",
            "container/p%20",
        ),
        ("abfs://container@account.dfs.core.windows.net/", "abfs://container@account.dfs.core.windows.net/", "container"),
        ("abfs://account.blob.core.windows.net/c/p", "abfs://account.blob.core.windows.net/c/p", "c/p"),
        ("gs://bucket/a b?endpoint_override=127.0.0.1:9&scheme=http", "gs://bucket/a b", "bucket/a b"),
        ("gs://anonymous@bucket/x", "gs://anonymous@bucket/x", "bucket/x"),
    ],
)  # fmt: skip
def test_urls_of_stores(monkeypatch, url, spark, in_arrow):
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    assert storage.absolute(url) == url
    assert storage.spark_url(url) == spark
    filesystem, inner = storage.open_filesystem(url)
    assert not isinstance(filesystem, pafs.PyFileSystem)
    assert inner == in_arrow
    below = storage.join(url, "k=v", "f.tar")
    assert storage.open_filesystem(below)[1] == f"{in_arrow}/k=v/f.tar"
    assert storage.base_name(below) == "f.tar"
    assert paths.split_options(below)[1] == paths.split_options(url)[1]


@pytest.mark.parametrize(
    ("url", "arrow"),
    [
        ("hdfs://nameservice/a b?user=me&replication=2", "hdfs://nameservice/a%20b?user=me&replication=2"),
        ("hdfs://host:8020/x#y", "hdfs://host:8020/x%23y"),
        ("viewfs://cluster/größe", "viewfs://cluster/gr%C3%B6%C3%9Fe"),
    ],
)
def test_urls_of_hadoop(url, arrow):
    assert paths.arrow_url(url) == arrow


@pytest.mark.parametrize(
    ("path", "said"),
    [
        ("nowhere://x", "nowhere://x: Protocol not known: nowhere"),
        ("file://host/x", "file://host/x: of another machine"),
        ("s3://bucket/x?foo=1", "Unexpected query parameter in S3 URI: 'foo'"),
        ("a\0b", "has a NUL"),
        ("a\udcff", "has bytes that are not UTF-8"),
    ],
)
def test_what_no_library_takes_is_one_line(path, said):
    for function in (storage.open_filesystem, storage.list_files, storage.exists):
        with pytest.raises(UsageError, match=said.replace("?", r"\?")) as error:
            function(path)
        assert "\n" not in str(error.value)


def test_the_home_folder(tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.chdir(tmp_path)
    storage.make_folder("~/in")
    storage.write_bytes("~/in/a.txt", b"a")
    for path in ("~/in", "~/in/*.txt", "~/*", found_path("~/in/a.txt"), local_path("~/in/a.txt")):
        assert [path for path, _, _ in storage.list_files(str(path))] == [f"{tmp_path}/home/in/a.txt"]
    assert os.listdir(tmp_path) == ["home"]
    storage.write_bytes("./~", b"")
    storage.write_bytes("~x", b"")
    assert sorted(os.listdir(tmp_path)) == ["home", "~", "~x"]


def test_paths_of_recipes(tmp_path, monkeypatch):
    """First the working directory, then the project's folder, patterns too; links stay what they are called."""
    work, project = tmp_path / "work", tmp_path / "project"
    for folder in (work, project):
        folder.mkdir()
        (folder / "both.tar").write_bytes(b"")
        (folder / f"{folder.name}.tar").write_bytes(b"")
    (work / "link.tar").symlink_to("work.tar")
    monkeypatch.chdir(work)
    monkeypatch.setattr(recipe_file, "PROJECT", project)
    for path, want in (
        ("both.tar", work / "both.tar"),
        ("project.tar", project / "project.tar"),
        ("proj*.tar", project / "proj*.tar"),
        ("b*.tar", work / "b*.tar"),
        ("none*", work / "none*"),
        ("link.tar", work / "link.tar"),
        (f"file://{work}/both.tar", work / "both.tar"),
        ("s3://b/x?region=y", "s3://b/x?region=y"),
    ):
        assert found_path(path) == str(want)


def test_an_error_is_one_line_whatever_the_name(tmp_path):
    code = f"from pipeline.errors import UsageError\nfrom pipeline.job import new_app, run\napp = new_app()\n" \
        f"@app.command()\ndef main():\n    raise UsageError({'a' + chr(10) + 'b'!r})\nrun(app)"  # fmt: skip
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (2, "error: a\\nb\n")
