"""Runs of the workflow, or of one of its steps, with the stand-in for Tator."""

import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks.clips import SAMPLE
from benchmarks.measure import Usage, measured_process
from scripts.lib.boxes import Size
from scripts.lib.files import write_json
from scripts.lib.workflow.planning.batches import media_per_job
from tests.tator_server.launch import Server
from tests.workflow import ROOT, command_line, environment


@dataclass(frozen=True)
class Run:
    """A run with the sample network.

    Attributes:
        folder: the folder of the run.
        server: the stand-in for Tator.
        media_ids: the media of the run.
        size: the size of the network's input.
    """

    folder: Path
    server: Server
    media_ids: list[int]
    size: Size

    @property
    def settings(self) -> dict[str, Any]:
        """The settings, as a user would write them."""
        return {
            "tator": {"host": self.server.host, "project_id": self.server.project_id, "media_ids": self.media_ids},
            "network": {"directory": str(SAMPLE)},
            # `auto`, without shared jobs of one media each, whose files Snakemake does not know.
            "media": {"per_job": media_per_job("auto", len(self.media_ids))},
            "detect": {"img_max_side": self.size.width, "img_min_side": self.size.height},
            "upload": {"localization_type_id": self.server.localization_type_id},
        }

    @property
    def site(self) -> dict[str, Any]:
        """Tator's address and project, as arguments of steps."""
        return {"host": self.server.host, "project_id": self.server.project_id}

    def workflow(self, *arguments: str) -> Usage:
        """Run the workflow.

        Raises:
            RuntimeError: the workflow failed.
        """
        command = command_line(self.folder, *arguments, settings=self.settings)
        return measured_process(command, directory=self.folder, environ=self._environ)

    def step(self, script: str, *, watch_memory: bool = False, **arguments: Any) -> Usage:
        """Run one step as a separate job, in the folder.

        Raises:
            RuntimeError: the step failed; the message is the end of its log.
        """
        self.folder.mkdir(parents=True, exist_ok=True)
        file, log = self.folder / "arguments.json", self.folder / f"{script}.log"
        write_json(file, arguments)
        command = [sys.executable, "-m", "benchmarks.step_process", script, str(file), str(log)]
        try:
            return measured_process(command, directory=self.folder, environ=self._environ, watch_memory=watch_memory)
        except RuntimeError as error:
            raise RuntimeError(log.read_text(encoding="utf-8")[-3000:]) from error

    def files(self, pattern: str, media_ids: list[int] | None = None) -> list[str]:
        """Return the paths of some media, or of all media of the run."""
        return [pattern.format(media_id=media_id) for media_id in media_ids or self.media_ids]

    def resolve(self) -> None:
        """Write the record of each media."""
        (self.folder / "resources" / "records").mkdir(parents=True)
        self.step(
            "resolve_media",
            **self.site,
            media_ids=self.media_ids,
            kind="any",
            skip_processed=False,
            mark_attribute="Object Detector Processed",
            records=self.files("resources/records/{media_id}.json"),
        )

    @property
    def _environ(self) -> dict[str, str]:
        return environment({"TATOR_AUTH_TOKEN": self.server.token, "PYTHONPATH": str(ROOT)})
