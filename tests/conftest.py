"""One embedded Spark session for all tests, and where the shared material is."""

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
def shared() -> Path:
    if not SHARED.is_dir():
        pytest.skip("the shared material is not here")
    return SHARED
