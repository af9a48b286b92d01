"""What a path or URL names, for Arrow, fsspec and Spark, and the files that a pattern stands for."""

import os
import subprocess
import sys
from typing import ClassVar

import fsspec
import pyarrow as pa
import pyarrow.fs as pafs
import pyarrow.parquet as pq
import pytest
from fsspec.implementations.memory import MemoryFileSystem

from pipeline import paths, recipe_file, storage, tables
from pipeline.errors import UsageError
from pipeline.recipe_file import found_path, local_path
from tests.odd_names import ODD_NAMES


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


class Hosted(MemoryFileSystem):
    """A store like ftp and sftp: its URLs have a host before the path, its own paths have not."""

    protocol = "hosted"
    listed: ClassVar[list[str]] = []

    @classmethod
    def _strip_protocol(cls, path):
        if path.startswith("hosted://"):
            path = "/" + path.removeprefix("hosted://").partition("/")[2]
        return super()._strip_protocol(path)

    def ls(self, path, **options):
        self.listed.append(path)
        return super().ls(path, **options)

    def find(self, path, **options):
        self.listed.append(path)
        return super().find(path, **options)


@pytest.fixture(autouse=True)
def hosted():
    fsspec.register_implementation("hosted", Hosted, clobber=True)
    yield
    Hosted.store.clear()
    Hosted.pseudo_dirs[:] = [""]


def test_nothing_is_listed_that_a_pattern_cannot_reach():
    for name in ("other/a/x.tar", "in/a/x.tar", "in/b/deep/x.tar", "in/c/x.txt"):
        storage.write_bytes(f"hosted://h/{name}", b"x")
    Hosted.listed.clear()
    assert [path for path, _, _ in storage.list_files("hosted://h/in/*/x.tar")] == ["hosted://h/in/a/x.tar"]
    assert [path for path, _, _ in storage.list_files("hosted://h/in/b/**/*.tar")] == ["hosted://h/in/b/deep/x.tar"]
    assert Hosted.listed
    assert not [path for path in Hosted.listed if path.strip("/") == "" or "other" in path or "deep" in path]


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
        ("s3://key:secret@bucket/x/?region=x", "s3://key:secret@bucket/x/", "bucket/x"),
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


FILES = ["a.parquet", "b/c.parquet", "b/d/e.parquet", "b/d/f.txt", "[2024] pool/g[1].parquet", "2 pool/g1.parquet",
         "_h/i.parquet", ".j.parquet", "b/_k/l.parquet", "b/**/m.parquet"]  # fmt: skip


@pytest.mark.parametrize(
    ("pattern", "want"),
    [
        ("", [0, 1, 2, 3, 4, 5, 9]),
        ("*", [0, 1, 2, 3, 4, 5, 9]),
        ("*/", [0, 1, 2, 3, 4, 5, 9]),
        ("*.parquet", [0]),
        ("*/*.parquet", [1, 4, 5]),
        ("**/*.parquet", [0, 1, 2, 4, 5, 9]),
        ("**/d/**/*", [2, 3]),
        ("**/**/e.*", [2]),
        ("*/**/e.*", [2]),
        ("**/b/*.parquet", [1]),
        ("**", [0, 1, 2, 3, 4, 5, 9]),
        ("b/d/**", [2, 3]),
        ("b/**/d", [2, 3]),
        ("b/?/*", [2, 3]),
        ("[!b]*/*", [4, 5]),
        ("[2024] pool", [4]),
        ("[2024] pool/g[1].parquet", [4]),
        ("[2024] pool/*", [4]),
        ("[12] pool/g[1].parquet", [5]),
        ("**/g[1].parquet", [4, 5]),
        ("* pool/g[1].parquet", [4, 5]),
        ("_h", [6]),
        ("_*/*.parquet", [6]),
        (".*.parquet", [7]),
        ("b/_k/*", [8]),
        ("{a,b}.parquet", []),
        ("none/*", []),
        ("a.parquet/*", []),
        ("**/none", []),
    ],
)
@pytest.mark.parametrize("scheme", ["", "file://", "hosted://host"])
def test_patterns(tmp_path, monkeypatch, scheme, pattern, want):
    base = f"{scheme}{tmp_path}"
    for file in FILES:
        storage.make_folder(storage.join(base, file.rpartition("/")[0]))
        storage.write_bytes(storage.join(base, file), b"x")
    root = storage.absolute(base)
    expected = sorted(f"{root}/{FILES[number]}" for number in want)
    assert [path for path, _, _ in storage.list_files(f"{base}/{pattern}")] == expected
    if not scheme and pattern:
        monkeypatch.chdir(tmp_path)
        assert [path for path, _, _ in storage.list_files(pattern)] == expected


def test_two_stars_beside_other_characters(tmp_path):
    (tmp_path / "a.parquet").write_bytes(b"")
    with pytest.raises(UsageError, match=r"found '\*\*\.parquet'; \*\* stands alone between two slashes"):
        storage.list_files(f"{tmp_path}/**.parquet")
    (tmp_path / "**.parquet").write_bytes(b"")
    assert [path for path, _, _ in storage.list_files(f"{tmp_path}/**.parquet")] == [f"{tmp_path}/**.parquet"]


def test_links(tmp_path):
    (tmp_path / "in/sub").mkdir(parents=True)
    (tmp_path / "else").mkdir()
    (tmp_path / "in/sub/a.tar").write_bytes(b"a")
    (tmp_path / "else/b.tar").write_bytes(b"bb")
    for link, target in (("loop", "../.."), ("self", "."), ("folder", "../../else"), ("file.tar", "a.tar")):
        (tmp_path / "in/sub" / link).symlink_to(target)
    (tmp_path / "in/gone.tar").symlink_to("nowhere")
    os.mkfifo(tmp_path / "in/pipe.tar")
    found = {path.removeprefix(f"{tmp_path}/in/"): size for path, size, _ in storage.list_files(f"{tmp_path}/in")}
    # Through the loop the folder beside is reached too, and not a second time the one it began in.
    assert found == {
        "gone.tar": 0, "sub/a.tar": 1, "sub/file.tar": 1, "sub/folder/b.tar": 2, "sub/loop/else/b.tar": 2,
    }  # fmt: skip
    assert [size for _, size, _ in storage.list_files(f"{tmp_path}/in/**/*.tar")] == [
        found[name] for name in sorted(found)
    ]
    assert storage.list_files(f"{tmp_path}/in/*/file.tar")[0][0] == f"{tmp_path}/in/sub/file.tar"


def test_names_that_are_not_utf8_are_named(tmp_path):
    with open(os.fsencode(tmp_path) + b"/\xff.tar", "wb"):
        pass
    with pytest.raises(UsageError, match=r"\\udcff\.tar': has bytes that are not UTF-8"):
        storage.list_files(str(tmp_path))


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


def chains(length: int = 6) -> list[str]:
    """All odd names as a few paths."""
    return ["/".join(ODD_NAMES[i : i + length]) for i in range(0, len(ODD_NAMES), length)]


def written_and_read(spark, folder) -> None:
    rows = spark.range(6).selectExpr("id", "if(id % 2 = 0, null, 'odd') as dropped")
    assert tables.write_accounted(rows, str(folder), "t") == {None: 3, "odd": 3}
    tables.commit(str(folder), "t")
    found = tables.read(spark, f"file://{folder}/t")
    assert found.columns == ["id"]
    assert sorted(row.id for row in found.collect()) == [0, 2, 4]
    again = tables.write(found, str(folder), "again")
    assert again.count() == 3
    assert {line["path"] for line in tables.describe_files(spark, str(folder), ["t"])} == {
        f"t/{file.name}" for file in (folder / "t").glob("*.parquet")
    }


@pytest.mark.parametrize("chain", chains(), ids=range(len(chains())))
def test_tables_in_folders_of_odd_names(spark, tmp_path, chain):
    written_and_read(spark, tmp_path / chain)
    assert [path.name for path in tmp_path.iterdir()] == [chain.split("/")[0]]


@pytest.mark.slow
@pytest.mark.parametrize("name", ODD_NAMES)
def test_tables_in_a_folder_of_an_odd_name(spark, tmp_path, name):
    written_and_read(spark, tmp_path / name)
    assert [path.name for path in tmp_path.iterdir()] == [name]


def test_columns_of_files_of_odd_names(spark, tmp_path):
    from pipeline.filter.spark import read_files

    files = []
    for number, name in enumerate(ODD_NAMES):
        folder = tmp_path / name
        folder.mkdir()
        kind = [pa.int32(), pa.float64(), pa.float16(), pa.null()][number % 4]
        column = pa.nulls(1) if kind == pa.null() else pa.array([number], pa.float64()).cast(kind)
        pq.write_table(pa.table({"key": [name], "score": column}), (folder / f"{name}.parquet").open("wb"))
        files.append(str(folder / f"{name}.parquet"))
    found = {row.key: row.score for row in read_files(spark, "here", files).collect()}
    assert found == {name: None if number % 4 == 3 else number for number, name in enumerate(ODD_NAMES)}
    (tmp_path / "bad").write_bytes(b"PAR1")
    for bad in (tmp_path / "bad", tmp_path / "none"):
        with pytest.raises(UsageError, match="filter.columns: here: ") as error:
            read_files(spark, "here", [str(bad)])
        assert "\n" not in str(error.value)


def test_texts_in_files_of_odd_names(spark, tmp_path):
    from pipeline.entries.build.spark import records, title_views

    files = []
    for name in [*ODD_NAMES, "_hidden", ".hidden"]:
        folder = tmp_path / name
        folder.mkdir()
        (folder / name).write_text("en first 1\nen second 2\n")
        files.append(str(folder / name))
    assert records(spark, files).count() == 2 * len(files)
    views = title_views(spark, files, "en")[0].collect()
    assert {(row.title, row.views) for row in views} == {("first", len(files)), ("second", 2 * len(files))}


def test_an_error_is_one_line_whatever_the_name(tmp_path):
    code = f"from pipeline.errors import UsageError\nfrom pipeline.job import new_app, run\napp = new_app()\n" \
        f"@app.command()\ndef main():\n    raise UsageError({'a' + chr(10) + 'b'!r})\nrun(app)"  # fmt: skip
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (2, "error: a\\nb\n")
