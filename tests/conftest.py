"""One embedded Spark session and one without Java for all tests, and where the shared material is."""

import urllib.request
from pathlib import Path

import pytest

SHARED = Path(__file__).resolve().parents[2] / "shared"


@pytest.fixture(scope="session")
def spark():
    from pipeline.session import open_session

    session = open_session("local[2]")
    yield session
    session.stop()


@pytest.fixture(scope="session")
def local():
    from pipeline.local.session import LocalSession
    from pipeline.local.workers import Workers

    session = LocalSession(Workers(2))
    yield session
    session.stop()


@pytest.fixture(scope="session", params=["local", "spark"])
def tasks(request):
    """What does tasks: processes of this machine, and Spark."""
    return request.getfixturevalue(request.param)


@pytest.fixture(scope="session")
def shared() -> Path:
    if not SHARED.is_dir():
        pytest.skip("the shared material is not here")
    return SHARED


@pytest.fixture
def bucket(monkeypatch):
    """The URL of an empty bucket of moto's S3 server on loopback; environment variables say where it is."""
    server = pytest.importorskip("moto.server").ThreadedMotoServer("127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    reset = urllib.request.Request(f"http://{host}:{port}/moto-api/reset", method="POST")
    urllib.request.urlopen(reset).close()  # What it holds is of the process, not of one server.
    for name, value in {
        "AWS_ENDPOINT_URL": f"http://{host}:{port}",
        "AWS_ACCESS_KEY_ID": "testing",
        "AWS_SECRET_ACCESS_KEY": "testing",
        "AWS_DEFAULT_REGION": "us-east-1",
        "AWS_EC2_METADATA_DISABLED": "true",
    }.items():
        monkeypatch.setenv(name, value)
    urllib.request.urlopen(urllib.request.Request(f"http://{host}:{port}/bucket", method="PUT"))
    yield "s3://bucket"
    server.stop()
