"""Which media in Tator a job's boxes go to, in a folder's run."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from scripts.lib.errors import MediaFault
from scripts.lib.record_files import read_record
from scripts.lib.records import DetectionRecord, MediaRecord
from scripts.lib.records.match import MatchesRecord, MatchRecord
from scripts.lib.uploads.same_frames import difference


@dataclass(frozen=True)
class Matched:
    """The match of one media.

    Attributes:
        record: what match_media found.
        file: where that stands.
    """

    record: MatchRecord
    file: Path

    def target(self, found: DetectionRecord) -> MatchRecord:
        """Return the match, whose `tator_id` is where the boxes go.

        Args:
            found: how the boxes were found.

        Raises:
            MediaFault: there is no match, or frames of the media in Tator are not those of the file.
        """
        match = self.record
        if match.state != "matched":
            raise MediaFault(match.state, match.reason or "")
        if (why := difference(match, found)) is not None:
            raise MediaFault("failed", f"media {match.tator_id} in Tator is not shown as the file is: {why}")
        return match


def matched(records: Sequence[Path], matches: Path | None) -> list[Matched] | list[None]:
    """Return the match of each media; None for each where the media are in Tator themselves.

    Args:
        records: the records of the job's media.
        matches: what match_media wrote for them.
    """
    if matches is None:
        return [None] * len(records)
    found = {one.media_id: one for one in read_record(MatchesRecord, matches).matches}
    return [Matched(found[read_record(MediaRecord, record).media_id], matches) for record in records]
