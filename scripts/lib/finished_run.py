"""Read the folder of a finished run, also of an earlier version, for commands."""

from array import array
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from scripts.lib.errors import PipelineError
from scripts.lib.records.record_files import missing_key_named
from scripts.lib.records.summary_file import read_lines_as
from scripts.lib.workflow.planning.sub_folders import file_of


@dataclass(frozen=True, kw_only=True)
class SummaryLine:
    """A media in a run's summary."""

    media_id: int


@dataclass(frozen=True)
class FinishedRun:
    """The results of a run.

    Attributes:
        results: the run's folder `results`.
    """

    results: Path

    @classmethod
    def at(cls, folder: Path) -> "FinishedRun":
        """Return the run in a folder, which is the folder `results` or contains it.

        Raises:
            PipelineError: the folder has no results.
        """
        results = folder / "results" if (folder / "results").is_dir() else folder
        if not (results / "summary.json").exists():
            raise PipelineError(f"{folder}: has no results/summary.json; expected the folder of a run that has ended")
        return cls(results)

    @cached_property
    def media_ids(self) -> "array[int]":
        """The ids of the media, in the run's order.

        Raises:
            PipelineError: the summary is damaged, or a media in it has no number.
        """
        summary = self.results / "summary.json"
        try:
            with missing_key_named(summary):
                return array("q", (line.media_id for line in read_lines_as(SummaryLine, summary)))
        except (ValueError, TypeError, OverflowError):
            raise PipelineError(
                f"{summary}: cannot be read, expected the summary of a run; remove the file, and make it again by the "
                "same command"
            ) from None

    def file(self, pattern: str, media_id: int) -> Path:
        """Return the path of a media's file in the results or one of their sub-folders; the file may not exist."""
        path = self.results / pattern.format(media_id=media_id)
        return path if path.exists() else self.results / file_of(pattern, media_id, in_folders=True)
