"""A file with the media that a job is processing, so that the job can continue after it was killed."""

import json
import os
from pathlib import Path

from scripts.lib.errors import MediaFault


class JobProgress:
    """The file, with one JSON object on each line, and its contents.

    Attributes:
        fatal: media that killed the job, and the reason that their records give.
    """

    def __init__(self, path: Path) -> None:
        """Use a file, which may not be there yet."""
        self._path = path
        self.fatal: dict[int, str] = {}

    def clear(self) -> list[int]:
        """Forget everything, for a job that begins; return no media."""
        self._path.unlink(missing_ok=True)
        self.fatal = {}
        return []

    def begin(self, media_id: int) -> None:
        """Note that a media's frames are read from now on."""
        self._note({"begun": media_id})

    def end(self, media_id: int) -> None:
        """Note that a media's results are written."""
        self._note({"ended": media_id})

    def after_kill(self, fault: MediaFault) -> list[int]:
        """Find out which media were being processed when the job was killed; a single one counts as fatal.

        Args:
            fault: what killed the job.

        Returns:
            The media that were being processed, if there were several: any of them may be fatal.

        Raises:
            MediaFault: there was none.
        """
        begun: dict[int, None] = {}
        for line in self._path.read_text(encoding="utf-8").splitlines() if self._path.exists() else ():
            said = json.loads(line)
            if "fatal" in said:
                self.fatal[said["fatal"]] = said["reason"]
            elif "begun" in said:
                begun[said["begun"]] = None
            else:
                begun.pop(said["ended"], None)
        if not begun:
            raise fault
        suspects = list(begun)
        self._path.unlink()
        if len(suspects) == 1:
            self.fatal[suspects.pop()] = fault.reason
        for media_id, reason in self.fatal.items():
            self._note({"fatal": media_id, "reason": reason})
        return suspects

    def _note(self, said: dict[str, int | str]) -> None:
        line = f"{json.dumps(said)}\n".encode()
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
