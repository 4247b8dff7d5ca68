"""The plan of a video's parts, which split_media writes and the jobs of the parts read."""

import logging
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from scripts.lib.errors import MediaFault, MediaState
from scripts.lib.files import read_json, write_json
from scripts.lib.frames.copy_comparison import difference_from_copy
from scripts.lib.frames.parts import Part, plan_parts
from scripts.lib.frames.shown import Shown
from scripts.lib.frames.source import Summary
from scripts.lib.records import DownloadRecord, MediaRecord
from scripts.lib.records.record_files import from_content, write_record
from scripts.lib.workflow.jobs.failures import note

_log = logging.getLogger(__name__)


@dataclass(frozen=True, kw_only=True)
class FailedPlan:
    """The content of the plan's file, instead of parts, if planning failed."""

    state: MediaState
    reason: str


def find_parts(
    path: Path, wanted: MediaRecord, fetched: DownloadRecord, count: int | Callable[[Summary], int]
) -> list[Part]:
    """Return the parts of a video; none if it has to be processed in one piece.

    Args:
        path: the video's file.
        wanted: the record of resolve_media or list_media.
        fetched: the record of its download.
        count: the number of parts wanted, see plan_parts.

    Raises:
        MediaFault: the file cannot be read.
    """
    shown = Shown.of_original(wanted, fetched)
    if shown is not None and (why := difference_from_copy(path, shown)) is not None:
        _log.info("media %d: in one piece, as the original is numbered by its times: %s", wanted.media_id, why)
        return []
    return plan_parts(path, count)


def write_plan(plan: Path, parts: Sequence[Part]) -> None:
    """Write the parts of a video; none if it has to be processed in one piece."""
    write_json(plan, [asdict(part) for part in parts])


def write_failed_plan(plan: Path, media_id: int, fault: MediaFault) -> None:
    """Write that planning failed; join_parts raises the fault."""
    note(media_id, [plan])
    write_record(plan, FailedPlan(state=fault.state, reason=fault.reason))


def planned_parts(plan: Path) -> list[Part]:
    """Return the parts of a video; none if it is processed in one piece, or if planning failed."""
    written = read_json(plan)
    return [Part(**part) for part in written] if isinstance(written, list) else []


def require_planned(plan: Path) -> None:
    """Raise the fault if planning failed.

    Raises:
        MediaFault: planning failed.
    """
    written = read_json(plan)
    if isinstance(written, dict):
        failed = from_content(FailedPlan, written)
        raise MediaFault(failed.state, failed.reason)


@dataclass(frozen=True)
class PlannedPart:
    """One part of a video, for the job that detects in it.

    Attributes:
        plan: path of the plan.
        part: number of the part, from 0.
    """

    plan: Path
    part: int

    @property
    def part_of_plan(self) -> Part | None:
        """The part; None if the video has fewer parts."""
        parts = planned_parts(self.plan)
        return parts[self.part] if self.part < len(parts) else None
