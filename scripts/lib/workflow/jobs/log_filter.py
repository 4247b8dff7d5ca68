"""The process between a job and its log: it cleans everything that the job writes to file descriptors 1 and 2.

Native libraries write text from media, networks and servers there: terminal commands and addresses. It is a separate
process, so that it still writes the last output of a job that was killed, and so that a library that writes while it
holds Python's lock does not block.
"""

import codecs
import errno
import os
import select
import signal
import socket
import sys
from pathlib import Path

if __name__ == "__main__":
    sys.path.insert(0, str(Path(__file__).resolve().parents[4]))

from scripts.lib.network_access.token import redact

# Longer lines are cut: nobody reads them, and cleaning takes time for each character.
LONGEST_LINE = 2**16
_PIECE = 2**16
_CUT = " ... (line cut)"


class Cleaner:
    """Converts bytes, which may arrive in any pieces, to clean text, line by line."""

    def __init__(self) -> None:
        self._decoder = codecs.getincrementaldecoder("utf-8")("replace")
        self._line = ""
        self._is_cut = False

    def feed(self, piece: bytes, *, final: bool = False) -> str:
        """Return the lines that this piece completes, cleaned.

        Args:
            piece: the next bytes.
            final: whether the last line is complete without a line break.
        """
        *lines, rest = self._decoder.decode(piece, final).split("\n")
        clean = [self._complete(line) + "\n" for line in lines]
        self._add(rest)
        if final and self._line:
            clean.append(self._complete(""))
        return "".join(clean)

    def _add(self, text: str) -> None:
        room = LONGEST_LINE - len(self._line)
        self._is_cut = self._is_cut or len(text) > room
        self._line += text[: max(0, room)]

    def _complete(self, text: str) -> str:
        """Return the clean line that ends with this text."""
        self._add(text)
        line = redact(self._line.removesuffix("\r")) + _CUT * self._is_cut
        self._line, self._is_cut = "", False
        return line


def copy(source: int, log: int, control: socket.socket) -> None:
    """Copy the input to the log until all writers have ended.

    Each byte on `control` is a request to write everything received so far. It is answered with a byte: 0, or the error
    number (errno) if something since the previous request could not be written, as on a full disk.

    Args:
        source: the descriptor to read.
        log: the descriptor to write.
        control: the socket for requests and answers.
    """
    os.set_blocking(source, False)
    cleaner, fault = Cleaner(), 0
    listening: list[int] = [source, control.fileno()]
    while True:
        ready, _, _ = select.select(listening, [], [])
        requests = _requests(control) if control.fileno() in ready else None
        while (piece := _read(source)) is not None:
            final = not piece
            fault = _write(log, cleaner.feed(piece, final=final)) or fault
            if final:
                return
        if requests is None:
            continue
        if not requests:
            listening = [source]  # the job has ended
            continue
        fault = _write(log, cleaner.feed(b"", final=True)) or fault
        _answer(control, fault)
        fault = 0


def _requests(control: socket.socket) -> bytes:
    try:
        return control.recv(_PIECE)
    except ConnectionError:
        return b""


def _answer(control: socket.socket, fault: int) -> None:
    try:
        control.send(bytes([fault]))
    except ConnectionError:
        return  # the job has ended before it could read it


def _read(source: int) -> bytes | None:
    """Return the next bytes; empty at the end, None while there are none."""
    try:
        return os.read(source, _PIECE)
    except BlockingIOError:
        return None


def _write(log: int, text: str) -> int:
    """Write a text; return 0, or the error number if a part could not be written."""
    left = text.encode(errors="replace")
    try:
        while left:
            left = left[os.write(log, left) :]
    except OSError as error:
        return error.errno or errno.EIO
    return 0


if __name__ == "__main__":
    for number in (signal.SIGHUP, signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.SIG_IGN)
    copy(0, 1, socket.socket(fileno=int(sys.argv[1])))
