"""Store in a file which media a job is processing, so that the job can continue after it was killed."""

import json
import os
from pathlib import Path

from scripts.lib.errors import MediaFault


class JobProgress:
    """The file, with one JSON object on each line.

    Attributes:
        fatal: media that killed the job, and the reason for their records.
    """

    def __init__(self, path: Path) -> None:
        """Store the path of the file, which may not exist yet."""
        self._path = path
        self.fatal: dict[int, str] = {}

    def clear(self) -> list[int]:
        """Remove the file when a job begins; return no media, as `after_kill` does if it suspects none."""
        self._path.unlink(missing_ok=True)
        self.fatal = {}
        return []

    def begin(self, media_id: int) -> None:
        """Write that the job begins to read a media's frames."""
        self._write({"begun": media_id})

    def end(self, media_id: int) -> None:
        """Write that a media's results are written."""
        self._write({"ended": media_id})

    def after_kill(self, fault: MediaFault) -> list[int]:
        """Find out which media were being processed when the job was killed; a single one counts as fatal.

        Args:
            fault: the signal that killed the job.

        Returns:
            The media that were being processed, if there were several: any of them may be fatal.

        Raises:
            MediaFault: no media was being processed.
        """
        begun: dict[int, None] = {}
        for line in self._path.read_text(encoding="utf-8").splitlines() if self._path.exists() else ():
            entry = json.loads(line)
            if "fatal" in entry:
                self.fatal[entry["fatal"]] = entry["reason"]
            elif "begun" in entry:
                begun[entry["begun"]] = None
            else:
                begun.pop(entry["ended"], None)
        if not begun:
            raise fault
        suspects = list(begun)
        self._path.unlink()
        if len(suspects) == 1:
            self.fatal[suspects.pop()] = fault.reason
        for media_id, reason in self.fatal.items():
            self._write({"fatal": media_id, "reason": reason})
        return suspects

    def _write(self, entry: dict[str, int | str]) -> None:
        line = f"{json.dumps(entry)}\n".encode()
        try:
            self._append(line)
        except FileNotFoundError:
            self._path.parent.mkdir(parents=True, exist_ok=True)
            self._append(line)

    def _append(self, line: bytes) -> None:
        descriptor = os.open(self._path, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o666)
        try:
            os.write(descriptor, line)
        finally:
            os.close(descriptor)
