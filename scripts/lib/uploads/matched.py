"""Read which media in Tator get a job's boxes, in a run on a folder."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from scripts.lib.errors import MediaFault
from scripts.lib.records import DetectionRecord, MediaRecord
from scripts.lib.records.match import MatchesRecord, MatchRecord
from scripts.lib.records.record_files import read_record
from scripts.lib.uploads.same_frames import difference


@dataclass(frozen=True)
class Matched:
    """The match of one media.

    Attributes:
        record: the media's record of match_media.
        file: the file with that record.
    """

    record: MatchRecord
    file: Path

    def target(self, found: DetectionRecord) -> MatchRecord:
        """Return the match, whose `tator_id` is the media that gets the boxes.

        Args:
            found: the record of the detection.

        Raises:
            MediaFault: there is no match, or the media in Tator has other frames than the file.
        """
        match = self.record
        if match.state != "matched":
            raise MediaFault(match.state, match.reason or "")
        if (why := difference(match, found)) is not None:
            raise MediaFault("failed", f"media {match.tator_id} in Tator has other frames than the file: {why}")
        return match


def matched(records: Sequence[Path], matches: Path | None) -> list[Matched] | list[None]:
    """Return the match of each media; None for each if the run's media are in Tator.

    Args:
        records: the records of the job's media.
        matches: the file of match_media for the job's media; None if the run's media are in Tator.
    """
    if matches is None:
        return [None] * len(records)
    found = {one.media_id: one for one in read_record(MatchesRecord, matches).matches}
    return [Matched(found[read_record(MediaRecord, record).media_id], matches) for record in records]
