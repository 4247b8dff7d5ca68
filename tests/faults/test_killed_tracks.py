"""An upload of boxes and tracks killed at each of its steps, and started again at once: the result is the same."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import tator

from tests.faults.steps import until
from tests.scripts.tator_steps import Steps
from tests.tator_server.launch import running
from tests.workflow import ROOT

pytestmark = pytest.mark.service

SECONDS = 1.0
ANSWER_SECONDS = 10
# The request at which the job is killed (the last of its kind), the fault, and whether tracks were requested by then.
# With "late_commit", the server carries out the request after the kill.
MOMENTS = [
    ("CreateLocalizationList", "late_commit", False),
    ("DeleteStateList", "late_commit", False),
    ("CreateStateList", "late_commit", True),
    ("GetStateListById", "slow", True),  # the check after everything was written
]
# Forks a process for each folder on standard input, and prints its id.
STARTER = """
import os
import signal
import sys
from pathlib import Path
from types import SimpleNamespace
from tests.scripts.tator_steps import Steps
signal.signal(signal.SIGCHLD, signal.SIG_IGN)
for line in sys.stdin:
    if pid := os.fork():
        print(pid, flush=True)
        continue
    steps = Steps(Path(line.strip()), SimpleNamespace(host=sys.argv[1], project_id=int(sys.argv[2])))
    steps.upload(1)
    steps.upload_tracks(1)
    os._exit(0)
"""


def rows(frames: tuple[int, ...], at: int, species: int) -> list[str]:
    scores = "0.900000:0.100000" if species == 1 else "0.200000:0.700000"
    return [f"{frame},{at}.000,20.000,64.000,36.000,{scores},{species}" for frame in frames]


COD, CRAB, OTHER = rows((0, 1, 2, 5), 10, 1), rows((1, 2, 3), 300, 2), rows((2, 3, 4), 500, 2)


class Version(Steps):
    """The steps of a run that writes into a separate version."""

    api: Any = None

    def set_up(self, api: Any, type_id: int) -> None:
        """Upload two tracks; then prepare to upload one of them without its last box, and a third track."""
        self.folder.mkdir()
        self.api = api
        made = api.create_version(self.server.project_id, {"name": self.folder.name, "description": ""})
        self.resolve(1)
        self.prepare(version_id=made.id, track_type_id=type_id, track_length_attribute="Length")
        self.prepare_tracks(COD, CRAB)
        self.upload_all()
        self.prepare_tracks(COD[:-1], OTHER)

    def prepare_tracks(self, *tracks: list[str]) -> None:
        boxes = sorted((row for one in tracks for row in one), key=lambda row: int(row.split(",")[0]))
        self.detected(1, boxes)
        self.tracked(1, *tracks)

    def upload_all(self) -> None:
        self.upload(1)
        (done,) = self.upload_tracks(1)
        assert done["state"] == "verified"

    def content(self) -> list[Any]:
        """Return all rows of boxes and tracks, without times, ids, and values computed from them."""
        boxes = self.boxes(show_all_marks=1, show_deleted=1)
        frames = {box["id"]: (box["frame"], box["x"]) for box in boxes}
        found = [[box[key] for key in ("frame", "x", "attributes", "mark", "variant_deleted")] for box in boxes]
        tracks = [
            [[frames[row] for row in one["localizations"]]]
            + [one[key] for key in ("attributes", "segments", "media", "mark", "variant_deleted")]
            for one in self.states(show_all_marks=1, show_deleted=1)
        ]
        return [found, sorted(tracks, key=str)]


@contextmanager
def starter(*arguments: str) -> Iterator[Callable[[Path], int]]:
    """Yield a function that starts a job in a folder and returns its process id."""
    command = [sys.executable, "-c", STARTER, *arguments]
    with subprocess.Popen(command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:

        def start(folder: Path) -> int:
            assert process.stdin
            assert process.stdout
            process.stdin.write(f"{folder}\n")
            process.stdin.flush()
            return int(process.stdout.readline())

        yield start


def test_an_upload_killed_at_each_step_is_continued(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "media").mkdir()
    with running(tmp_path / "media", tmp_path / "state") as server:
        monkeypatch.setenv("TATOR_AUTH_TOKEN", server.token)
        monkeypatch.setenv("TATOR_ANSWER_SECONDS", str(ANSWER_SECONDS))
        server.add_media("1.mp4", media_files={"archival": [{"path": "x", "resolution": [9, 16]}]})
        api, type_id = tator.get_api(server.host, server.token), Steps(tmp_path, server).add_track_type()
        undisturbed = Version(tmp_path / "undisturbed", server)
        undisturbed.set_up(api, type_id)
        server.clear_requests()
        undisturbed.upload_all()
        operations = [request["operation"] for request in server.requests()]
        expected = undisturbed.content()
        assert [len(track[0]) for track in expected[1]] == [3, 3]
        with starter(server.host, str(server.project_id)) as start:
            for operation, fault, tracks_made in MOMENTS:
                version = Version(tmp_path / f"killed at {operation}", server)
                version.set_up(api, type_id)
                server.clear_requests()
                nth = operations.count(operation)
                server.fault(fault, operation=operation, nth=nth, seconds=SECONDS)
                job = start(version.folder)
                until(lambda: len(server.requests(operation)) == nth)  # noqa: B023
                os.kill(job, signal.SIGKILL)
                assert bool(server.requests("CreateStateList")) is tracks_made
                server.clear_faults()
                version.upload_all()
                time.sleep(SECONDS)  # until late requests are carried out
                assert not list((version.folder / "under_way").iterdir())
                assert version.content() == expected, operation
