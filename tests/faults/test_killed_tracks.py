"""Killed at each step of the upload of boxes and their tracks, and run again at once: as if nothing had happened."""

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
# The request at which the job is killed (the last of its kind), what happens to it, and whether it has tracks by then.
# The server carries a late one out after the kill, unheard.
MOMENTS = [
    ("CreateLocalizationList", "late_commit", False),
    ("DeleteStateList", "late_commit", False),
    ("CreateStateList", "late_commit", True),
    ("GetStateListById", "slow", True),  # the look after all was written
]
# Starts a process for each folder that it is told, and answers with its number.
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

    def begin(self, api: Any, type_id: int) -> None:
        """Upload two tracks; want then one of them, with a box less, and a third."""
        self.folder.mkdir()
        self.api = api
        made = api.create_version(self.server.project_id, {"name": self.folder.name, "description": ""})
        self.resolve(1)
        self.prepare(version_id=made.id, track_type_id=type_id, track_length_attribute="Length")
        self.want(COD, CRAB)
        self.do()
        self.want(COD[:-1], OTHER)

    def want(self, *tracks: list[str]) -> None:
        boxes = sorted((row for one in tracks for row in one), key=lambda row: int(row.split(",")[0]))
        self.detected(1, boxes)
        self.tracked(1, *tracks)

    def do(self) -> None:
        self.upload(1)
        (done,) = self.upload_tracks(1)
        assert done["state"] == "verified"

    def stands(self) -> list[Any]:
        """Return boxes and tracks with all their marks, but for times and numbers and what these go into."""
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
def starter(*words: str) -> Iterator[Callable[[Path], int]]:
    """Yield what starts a job in a folder and returns the number of its process."""
    command = [sys.executable, "-c", STARTER, *words]
    with subprocess.Popen(command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:

        def start(folder: Path) -> int:
            assert process.stdin
            assert process.stdout
            process.stdin.write(f"{folder}\n")
            process.stdin.flush()
            return int(process.stdout.readline())

        yield start


def test_killed_at_each_step(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "media").mkdir()
    with running(tmp_path / "media", tmp_path / "state") as server:
        monkeypatch.setenv("TATOR_AUTH_TOKEN", server.token)
        monkeypatch.setenv("TATOR_ANSWER_SECONDS", str(ANSWER_SECONDS))
        server.add_media("1.mp4", media_files={"archival": [{"path": "x", "resolution": [9, 16]}]})
        api, type_id = tator.get_api(server.host, server.token), Steps(tmp_path, server).add_track_type()
        undisturbed = Version(tmp_path / "undisturbed", server)
        undisturbed.begin(api, type_id)
        server.clear_requests()
        undisturbed.do()
        asked = [request["operation"] for request in server.requests()]
        expected = undisturbed.stands()
        assert [len(track[0]) for track in expected[1]] == [3, 3]
        with starter(server.host, str(server.project_id)) as start:
            for operation, fault, tracks_made in MOMENTS:
                version = Version(tmp_path / f"killed at {operation}", server)
                version.begin(api, type_id)
                server.clear_requests()
                nth = asked.count(operation)
                server.fault(fault, operation=operation, nth=nth, seconds=SECONDS)
                job = start(version.folder)
                until(lambda: len(server.requests(operation)) == nth)  # noqa: B023 - it is called here only
                os.kill(job, signal.SIGKILL)
                assert bool(server.requests("CreateStateList")) is tracks_made
                server.clear_faults()
                version.do()
                time.sleep(SECONDS)  # what would come later yet
                assert not list((version.folder / "under_way").iterdir())
                assert version.stands() == expected, operation
