"""A small Tator site with the folder of one run, and the state of both after an undisturbed run."""

import os
import re
import resource
import shutil
import signal
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import cv2
import psutil
import tator
import yaml

from tests.conftest import SYNTHETIC
from tests.forks import Snakemake
from tests.tator_server.launch import Server, running
from tests.workflow import ROOT

MARK = "Object Detector Processed"
# No run takes longer, even on a busy machine, unless it hangs.
RUN_SECONDS = 300

_TIMES = re.compile(
    rb'"seconds": [0-9.]+|"stages": \{[^}]*\}|"(verified|changed)_at": "[^"]*"'
    rb"|(?<=  )[0-9]+\.[0-9] *(?=  |\n)"  # the table's column
)


@dataclass
class State:
    """The state after a run: all rows of boxes, the marked media, and the results without their times."""

    boxes: list[dict[str, Any]]
    marked: list[int]
    results: dict[str, bytes]


@dataclass
class Run:
    """A run that has been started."""

    process: Snakemake
    terminal: Path

    def wait(self, seconds: float = RUN_SECONDS) -> int:
        """Return the exit status; raises subprocess.TimeoutExpired."""
        return self.process.wait(seconds)

    def ended_within(self, seconds: float) -> bool:
        """Wait at most `seconds`; return whether the run has ended."""
        try:
            self.wait(seconds)
        except subprocess.TimeoutExpired:
            return False
        return True

    @property
    def text(self) -> str:
        return self.terminal.read_text(errors="replace")

    def jobs(self) -> list[psutil.Process]:
        """Return the processes of the scripts that run now."""
        try:
            children = psutil.Process(self.process.pid).children(recursive=True)
            return [child for child in children if any(".snakemake/scripts" in word for word in child.cmdline())]
        except psutil.Error:  # one of them ended in the meantime
            return []

    def kill(self) -> None:
        """End all processes of the run at once, as when the power fails: no handler runs."""
        os.killpg(self.process.pid, signal.SIGKILL)
        self.wait()


@dataclass
class Site:
    """A server with a video and a picture, and the folder and settings of a run on them."""

    server: Server
    folder: Path
    environ: dict[str, str] = field(default_factory=dict)
    file_bytes: int = resource.RLIM_INFINITY
    profile: str = "default"

    def __post_init__(self) -> None:
        self.environ = {"TATOR_AUTH_TOKEN": self.server.token, "TATOR_PATIENCE_SECONDS": "10", **self.environ}
        self.environ.setdefault("TATOR_ANSWER_SECONDS", "3")
        self.settings: dict[str, Any] = {
            "tator": {
                "host": self.server.host,
                "project_id": self.server.project_id,
                "media_ids": list(self.server.media),
            },
            "network": {"directory": str(SYNTHETIC)},
            # Low, so that the video's boxes need several requests.
            "detect": {"img_max_side": 320, "img_min_side": 180, "keep_threshold": 0.05},
            "upload": {"localization_type_id": self.server.localization_type_id},
        }

    @cached_property
    def api(self) -> Any:
        return tator.get_api(self.server.host, self.server.token)

    def at(self, folder: Path) -> "Site":
        """Return the same site and settings with another folder."""
        other = Site(self.server, folder, dict(self.environ))
        other.settings = self.settings
        return other

    def start(self, *arguments: str, **environ: str) -> Run:
        """Start a run in a new process group."""
        self.folder.mkdir(parents=True, exist_ok=True)
        settings = self.folder / "settings.yaml"
        if not settings.exists() or yaml.safe_load(settings.read_text()) != self.settings:
            settings.write_text(yaml.safe_dump(self.settings, allow_unicode=True))
        command = ["--snakefile", str(ROOT / "Snakefile"), "--directory", str(self.folder)]
        command += ["--workflow-profile", str(ROOT / "profiles" / self.profile)]
        command += ["--configfile", str(settings), *arguments]
        clean = {name: value for name, value in os.environ.items() if not name.startswith("TATOR_")}
        descriptor, terminal = tempfile.mkstemp(prefix="terminal.", dir=self.folder.parent)
        os.close(descriptor)
        process = Snakemake(command, Path.cwd(), clean | self.environ | environ, Path(terminal))
        limit = (self.file_bytes, resource.RLIM_INFINITY)
        resource.prlimit(process.pid, resource.RLIMIT_FSIZE, limit)  # long before there is a job
        return Run(process, Path(terminal))

    def run(self, *arguments: str, **environ: str) -> tuple[int, str]:
        """Run to the end; return the exit status and the terminal's output."""
        run = self.start(*arguments, **environ)
        try:
            return run.wait(), run.text
        except subprocess.TimeoutExpired:
            run.kill()
            raise

    def run_ok(self, *arguments: str) -> str:
        """Run to the end, which must succeed; return the terminal's output."""
        status, text = self.run(*arguments)
        assert status == 0, text
        return text

    def fails_with(self, message: str, **environ: str) -> str:
        """Run to the end, which must be a message (a pattern) without a traceback; return the terminal's output."""
        status, text = self.run(**environ)
        assert status != 0, text
        assert re.search(message, text), text
        assert "Traceback" not in text, text
        return text

    def half_written(self) -> list[Path]:
        """Return the partial files that were neither finished nor removed."""
        return [path for ending in ("part", "unfinished") for path in self.folder.rglob(f"*.{ending}")]

    def state(self) -> State:
        return State(self.boxes(), self.marked(), self.results())

    def boxes(self) -> list[dict[str, Any]]:
        filters = {"type": self.server.localization_type_id, "show_all_marks": 1, "show_deleted": 1}
        found = self.api.get_localization_list(self.server.project_id, **filters)
        drop = {"id", "created_datetime", "modified_datetime"}
        boxes = [{key: value for key, value in box.items() if key not in drop} for box in found]
        return sorted(boxes, key=lambda box: (box["media"], box["frame"], box["elemental_id"], box["mark"]))

    def marked(self) -> list[int]:
        media = self.api.get_media_list(self.server.project_id)
        return sorted(item["id"] for item in media if item["attributes"].get(MARK) not in (None, "", "No"))

    def results(self) -> dict[str, bytes]:
        folder = self.folder / "results"
        files = (path for path in sorted(folder.rglob("*")) if path.is_file())
        found = {str(path.relative_to(folder)): _TIMES.sub(b"<time>", path.read_bytes()) for path in files}
        # The page is made from the other files, and shows times.
        return found | {"overview.html": b"" if found.get("overview.html") else b"missing"}

    def written(self, *texts: str) -> dict[str, bytes]:
        """Return the content of all files of the run, by path, and these outputs of a terminal."""
        found = {str(path): path.read_bytes() for path in self.folder.rglob("*") if path.is_file()}
        assert any(".snakemake" in path for path in found)
        return found | {f"terminal {number}": text.encode() for number, text in enumerate(texts)}

    def secrets_in(self, *texts: str) -> list[str]:
        """Return the files and outputs that contain the token or a signed address."""
        secrets = (self.server.token.encode(), b"X-Amz-Signature")
        return [path for path, text in self.written(*texts).items() if any(word in text for word in secrets)]


@contextmanager
def new_site(folder: Path) -> Iterator[Site]:
    """Yield an unused site; runs on two of them give the same boxes and results, byte for byte."""
    media_of_a_site(folder / "media")
    with running(folder / "media", folder / "state") as server:
        yield Site(server, folder / "run")


def undisturbed_state(folder: Path) -> State:
    """Return the state after a run without faults."""
    with new_site(folder) as site:
        site.run_ok()
        return site.state()


def media_of_a_site(folder: Path) -> None:
    """Write the media of a site."""
    folder.mkdir(parents=True)
    video = cv2.VideoCapture(str(SYNTHETIC / "clip_910001.mp4"))
    cv2.imwrite(str(folder / "picture.png"), video.read()[1])
    video.release()
    shutil.copy(SYNTHETIC / "clip_910002.mp4", folder / "clip.mp4")
