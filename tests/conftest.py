"""Fixtures that more than one test module uses."""

import gc
import itertools
import os
import re
import shutil
import sys
from collections.abc import Iterator
from multiprocessing.forkserver import set_forkserver_preload
from pathlib import Path
from typing import TYPE_CHECKING

import hypothesis
import pytest

from tests.docker_engine import docker_engine, registry
from tests.forks import SLOW_TO_IMPORT
from tests.longest_first import longest_first
from tests.made_once import made_once
from tests.media_files import ordinary_scheduling
from tests.needs import NOT_UNIT, OF_FIXTURES, OF_FOLDERS, Current, look_for_environments
from tests.oracle import SAMPLE, Oracle, ask, real_frames
from tests.random_network import write_random_network
from tests.tator_server.launch import Server, running

if TYPE_CHECKING:
    from tests.faults.site import State

# On a shared machine, the time of an example varies.
hypothesis.settings.register_profile("shared", deadline=None)
hypothesis.settings.load_profile("shared")

set_forkserver_preload(list(SLOW_TO_IMPORT))

# Each job of a run is a process that imports scripts/: compiled files save a sixth of its start. And pytest takes 1.5 s
# to compile the tests.
os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
sys.dont_write_bytecode = False

# Time for which a job waits after a lost answer. No request of the stand-in takes longer, unless a test orders it.
os.environ["TATOR_ANSWER_SECONDS"] = "1"

__all__ = ["docker_engine", "registry"]

# Fixtures that take long to make: with several workers, all tests that need one of them run in one worker.
LONG_MADE = ("built_image", "docker_engine", "oracle")

# Length of a value in the name of a test.
_LONGEST_IN_NAME = 60

SYNTHETIC = Path(__file__).parent / "data" / "synthetic"


def pytest_ignore_collect(collection_path: Path, config: pytest.Config) -> bool | None:
    """Ignore modules without tests of `make test-unit`, since their imports take as long as hundreds of its tests."""
    if config.option.markexpr != "unit" or collection_path.suffix != ".py":
        return None
    lines = re.findall(r"^pytestmark = .*", collection_path.read_text(encoding="utf-8"), re.MULTILINE)
    marked = {name for line in lines for name in re.findall(r"pytest\.mark\.(\w+)", line)}
    return True if marked & NOT_UNIT else None


@pytest.hookimpl(tryfirst=True)  # before pytest-xdist reads the groups
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Set the groups of tests that one worker runs (`make test`), and mark tests by their needs."""
    for item in items:
        needed = item.fixturenames if isinstance(item, pytest.Function) else []
        folder = item.path.parent.relative_to(item.config.rootpath).as_posix()
        own = [OF_FIXTURES.get(name, ()) for name in needed]
        for marker in itertools.chain(*own, OF_FOLDERS.get(folder, ())):
            item.add_marker(marker)
        if not NOT_UNIT & {marker.name for marker in item.iter_markers()}:
            item.add_marker("unit")
        if not item.get_closest_marker("xdist_group"):
            file = item.path.relative_to(item.config.rootpath).as_posix()
            item.add_marker(pytest.mark.xdist_group(next((name for name in LONG_MADE if name in needed), file)))
    if items and getattr(items[0].config.option, "loadgroup", False):
        items[:] = longest_first(items)


def pytest_make_parametrize_id(val: object) -> str | None:
    """Shorten long values in names of tests, since names are sent and printed with each result."""
    if isinstance(val, str | bytes) and len(val) > _LONGEST_IN_NAME:
        start = val[:_LONGEST_IN_NAME]
        text = start if isinstance(start, str) else start.decode("latin-1")
        return f"{text.encode('unicode_escape').decode()}...{len(val)}"
    return None


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_setup(item: pytest.Item) -> None:
    """Record which test runs, so that fixtures can read its markers; check that its environments exist."""
    Current.item = item
    look_for_environments(item)


def pytest_collection_finish(session: pytest.Session) -> None:
    """Stop if pytest-xdist did not use the groups: the tests would run, but take twice the time."""
    grouped = getattr(session.config.option, "loadgroup", False)
    gc.freeze()  # objects of modules live as long as the tests: do not traverse them at each collection
    if grouped and any("@" not in item.nodeid for item in session.items):
        raise pytest.UsageError("pytest-xdist took no groups; expected test ids that end with @group")


@pytest.fixture(autouse=True)
def _ordinary_scheduling() -> Iterator[None]:
    """Undo the real-time priority that an encoder sets: processes of later tests would block the machine."""
    with ordinary_scheduling():
        yield


@pytest.fixture
def media_folder(tmp_path: Path) -> Path:
    """Return a folder with two videos, to which a test may add before it uses `tator_server`."""
    folder = tmp_path / "media"
    folder.mkdir()
    for name in ("clip_910001.mp4", "clip_910002.mp4"):
        shutil.copy(SYNTHETIC / name, folder)
    return folder


@pytest.fixture
def tator_server(media_folder: Path, tmp_path: Path) -> Iterator[Server]:
    """Yield a running stand-in Tator server that serves `media_folder`."""
    with running(media_folder, tmp_path / "state") as server:
        yield server


@pytest.fixture(scope="session")
def oracle(tmp_path_factory: pytest.TempPathFactory) -> Oracle:
    """Return 80 real frames with TensorFlow's boxes and scores, and the folder of the converted sample network."""
    folder, frames = tmp_path_factory.mktemp("oracle") / "converted", real_frames()
    folder.mkdir()
    return Oracle(folder, frames, *ask(SAMPLE / "graph.pb", frames, folder))


@pytest.fixture(scope="session")
def fizyr(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a network of random weights in keras-retinanet's later layout, with three outputs."""
    return write_random_network(tmp_path_factory.mktemp("fizyr") / "graph.pb")


@pytest.fixture(scope="session")
def sample_onnx(oracle: Oracle) -> Path:
    """Return the sample network as ONNX."""
    return oracle.folder / "graph.onnx"


@pytest.fixture(scope="session")
def undisturbed(tmp_path_factory: pytest.TempPathFactory) -> "State":
    """Return the state after an undisturbed run on one machine."""
    from tests.faults.site import undisturbed_state

    return made_once(tmp_path_factory, "undisturbed", undisturbed_state)
