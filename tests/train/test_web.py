"""Files of web servers and stores: by ranges and from start to end, from servers that cut, fail, change and refuse."""

import shutil
import socket

import pytest

from pipeline.errors import PipelineError, UsageError
from pipeline.train import retries, web
from pipeline.train.files import StoreFile, Stream, open_file
from pipeline.train.shards import ShardSet
from pipeline.train.web import WebFile, WebStream

from .conftest import write_tar
from .servers import served

CONTENT = bytes(range(256)) * 3000


@pytest.fixture(autouse=True)
def short_waits(monkeypatch):
    monkeypatch.setattr(retries, "FIRST_WAIT", 0.001)


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "served").mkdir()
    (tmp_path / "served" / "a.tar").write_bytes(CONTENT)
    return tmp_path / "served"


def whole(stream) -> bytes:
    parts = []
    while part := stream.read(1 << 16):
        parts.append(part)
    stream.close()
    return b"".join(parts)


@pytest.mark.parametrize(
    "fault", [{}, {"cut": 70_000}, {"failures": {503: 3, 429: 2}}, {"cut": 200_000, "failures": {500: 1}}]
)
def test_ranges_and_streams_are_the_bytes_of_the_file(folder, fault):
    with served(folder, **fault) as server:
        file = WebFile(f"{server.url}/a.tar")
        assert file.size() == len(CONTENT)
        for at, size in ((0, 10), (1000, 500_000), (len(CONTENT) - 5, 100), (len(CONTENT), 3), (7, 0)):
            assert file.read_at(size, at) == CONTENT[at : at + size]
        assert whole(Stream(f"{server.url}/a.tar")) == CONTENT


def test_a_connection_that_is_cut_goes_on_at_the_byte(folder):
    with served(folder, cut=300_000) as server:
        assert WebFile(f"{server.url}/a.tar").read_at(700_000, 1000) == CONTENT[1000:701_000]
        assert [asked for _, asked, _ in server.requests[1:]] == [
            f"bytes={at}-700999" for at in (1000, 301_000, 601_000)
        ]
        server.requests.clear()
        assert whole(Stream(f"{server.url}/a.tar")) == CONTENT
        assert [asked for _, asked, _ in server.requests] == [None, "bytes=300000-", "bytes=600000-"]


def test_a_server_without_ranges_is_refused_or_streamed(folder):
    with served(folder, ranges=False) as server:
        with pytest.raises(
            UsageError, match="a.tar: its server gives whole files alone and no ranges; .*data.stream=true"
        ):
            WebFile(f"{server.url}/a.tar")
        assert whole(Stream(f"{server.url}/a.tar")) == CONTENT


def test_a_stream_without_ranges_skips_what_it_had(folder):
    with served(folder, ranges=False, cut=400_000) as server:
        stream = WebStream(f"{server.url}/a.tar")
        first = stream.read(300_000)
        server.cut = None
        assert first + whole(stream) == CONTENT
        assert len(server.requests) == 2


def test_connections_are_used_again(folder):
    with served(folder) as server:
        file = WebFile(f"{server.url}/a.tar")
        for at in range(50):
            file.read_at(1000, at * 1000)
        assert server.connections == 1


@pytest.mark.parametrize(
    ("status", "kind", "said"),
    [
        (404, FileNotFoundError, "not found"),
        (403, OSError, "is forbidden"),
        (401, OSError, "needs other credentials"),
        (400, OSError, "gave no content"),
        (503, PipelineError, "status 503, 10 times"),
    ],
)
def test_what_a_server_does_not_give_is_said_without_credentials(folder, status, kind, said):
    with served(folder, failures={status: 99}) as server:
        for read in (WebFile, lambda url: whole(Stream(url))):
            with pytest.raises(kind, match=said) as caught:
                read(f"http://me:secret@{server.host}/a.tar?X-Amz-Signature=secret&token=secret")
            assert "secret" not in str(caught.value)
            assert f"http://{server.host}/a.tar?…" in str(caught.value)
        assert server.requests[0][2] == "Basic bWU6c2VjcmV0"
        assert len(server.requests) == (20 if status == 503 else 2)


def test_no_server_and_no_host():
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        with pytest.raises(PipelineError, match="127.0.0.1.*no connection, 10 times"):
            WebFile(f"http://127.0.0.1:{free.getsockname()[1]}/a.tar")
    with pytest.raises(PipelineError, match="its host is not known, 10 times"):
        WebFile("http://no-such-host.invalid/a.tar")


def test_what_is_not_https_is_said_at_once(folder):
    with served(folder) as server, pytest.raises(OSError, match="is not HTTPS, or of a certificate"):
        WebFile(f"https://{server.host}/a.tar")


def test_a_server_that_says_nothing_is_left(folder, monkeypatch):
    monkeypatch.setattr(web, "READ_SECONDS", 0.05)
    web._pool.cache_clear()
    monkeypatch.setattr(retries, "TRIES", 2)
    with socket.socket() as silent:
        silent.bind(("127.0.0.1", 0))
        silent.listen()
        with pytest.raises(PipelineError, match="nothing came for"):
            WebFile(f"http://127.0.0.1:{silent.getsockname()[1]}/a.tar")
    web._pool.cache_clear()


def test_a_file_that_changes_or_goes_is_an_error(folder):
    with served(folder) as server:
        url = f"{server.url}/a.tar"
        file, stream = WebFile(url), WebStream(url)
        stream.read(10)
        state = file.state
        (folder / "a.tar").write_bytes(CONTENT[::-1])
        with pytest.raises(OSError, match="has changed"):
            file.read_at(10, 0)
        with pytest.raises(OSError, match="has changed"):
            open_file(url, state)
        stream.parts = None  # as after a cut
        with pytest.raises(OSError, match="has changed"):
            stream.read(10)
        (folder / "a.tar").unlink()
        with pytest.raises(FileNotFoundError):
            file.read_at(10, 0)
        stream.close()


def test_samples_of_urls_are_those_of_the_disk(shard_set, tmp_path):
    """Our tars with their indexes beside them, and others, which are scanned; requests lie together."""
    bare = tmp_path / "bare"
    bare.mkdir()
    for tar in shard_set.glob("*.tar"):
        shutil.copy(tar, bare)
    disk = ShardSet([str(shard_set)], tmp_path / "cache")
    places = [(shard, row) for shard in (2, 0, 1) for row in (5, 3, 19, 0)]
    for folder in (shard_set, bare):
        with served(folder) as server:
            shards = ShardSet([server.url + "/{00000..00002}.tar?X-Amz-Signature=a"] if folder is bare
                              else [server.url + "/{00000..00002}.tar"], tmp_path / folder.name)  # fmt: skip
            assert shards.counts.tolist() == [20, 20, 20]
            assert shards.is_remote
            server.requests.clear()
            assert shards.samples(places, with_json=True) == disk.samples(places, with_json=True)
            assert len(server.requests) == 6  # one to open each tar, and one for what lies close together
            assert shards.probabilities(0).tolist() == disk.probabilities(0).tolist() or folder is bare


def test_a_name_that_signs_is_no_part_of_what_a_file_is(tmp_path):
    from pipeline.train.given import file_name, identity

    first, second = (
        f"https://me:{word}@x.test/d/a.tar?id=7&X-Amz-Signature={word}&Expires=9" for word in ("one", "two")
    )
    assert identity(first) == identity(second) == "https://x.test/d/a.tar?id=7"
    assert file_name(first) == file_name(second)
    assert file_name(first) != file_name(first.replace("id=7", "id=8"))
    assert file_name(first).startswith("a-")


def test_a_store(bucket, tmp_path):
    from pipeline import storage

    tar = write_tar(tmp_path / "a.tar", {f"{n}.{end}": b"%d" % n * 900 for n in range(50) for end in ("jpg", "txt")})
    storage.write_bytes(f"{bucket}/set/00000.tar", tar.read_bytes())
    storage.write_bytes(
        f"{bucket}/set/00001.tar", write_tar(tmp_path / "b.tar", {"x.jpg": b"x", "x.txt": b"y"}).read_bytes()
    )
    storage.write_bytes(f"{bucket}/set/below/00002.tar", tar.read_bytes())
    for path in (f"{bucket}/set", f"{bucket}/set/", f"{bucket}/set/*.tar", bucket + "/set/{00000..00001}.tar"):
        shards = ShardSet([path], tmp_path / "cache")
        assert shards.counts.tolist() == [50, 1]
        assert [sample.key for sample in shards.samples([(1, 0), (0, 49), (0, 3)])] == ["x", "49", "3"]
        assert shards.sample(0, 7).text == "7" * 900
    assert whole(Stream(f"{bucket}/set/00000.tar")) == tar.read_bytes()
    with pytest.raises(UsageError, match="set/00009.tar: no such file"):
        ShardSet([f"{bucket}/set/00009.tar"], tmp_path / "cache")
    file = StoreFile(f"{bucket}/set/00000.tar")
    storage.write_bytes(f"{bucket}/set/00000.tar", tar.read_bytes() + bytes(512))
    with pytest.raises(OSError, match="has changed"):
        open_file(f"{bucket}/set/00000.tar", file.state)
