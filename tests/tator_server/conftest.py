"""Fixtures: one server for all tests of a module; each test uses its own version, media or fault."""

import shutil
from collections.abc import Iterator

import pytest
import tator

from tests.conftest import SYNTHETIC

from .launch import Server, running


@pytest.fixture(scope="module")
def shared_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    folder = tmp_path_factory.mktemp("served")
    media = folder / "media"
    media.mkdir()
    shutil.copy(SYNTHETIC / "clip_910001.mp4", media / "b.mp4")
    shutil.copy(SYNTHETIC / "clip_910002.mp4", media / "a 'quoted' <name>.mp4")
    (media / "junk.mp4").write_bytes(b"not a video")
    (media / "zero.jpg").touch()
    with running(media, folder / "state") as server:
        yield server


@pytest.fixture
def server(shared_server: Server) -> Server:
    shared_server.clear_faults()
    shared_server.clear_requests()
    return shared_server


@pytest.fixture
def api(server: Server):
    return tator.get_api(server.host, server.token)


@pytest.fixture
def version(server: Server, api, request: pytest.FixtureRequest) -> int:
    return api.create_version(server.project_id, version_spec={"name": request.node.name}).id
