"""Find pages of Ogg files whose capture pattern (OggS) is destroyed; FFmpeg skips the last of them without an error.

If the pattern of another page is destroyed, the number of the next page shows it (RFC 3533, section 6). Files may be
joined (chained); then each has a last page.
"""

import mmap
from pathlib import Path

from scripts.lib.frames.file_formats.truncation import OGG_HEADER, OGG_PAGE

_VERSION, _FLAGS, _SERIAL, _NUMBER, _CHECKSUM = 4, 5, 14, 18, 22  # offsets of a page's fields
_FIRST_PAGE = 2  # flag of a stream's first page, which describes its codec
_CODEC_BYTES = 5  # of a stream's first page: enough to tell codecs apart


def find_destroyed(path: Path, track: int) -> str | None:
    """Return a sentence if a page of the video has lost its capture pattern; None if not.

    Other data between pages are no fault.

    Args:
        path: the file.
        track: the video's place among the file's streams, from 0.
    """
    if not path.stat().st_size:
        return None
    with path.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as data:
        place = _destroyed_page(data, track)
    if place is None:
        return None
    return f"the capture pattern of a page is destroyed, at byte {place} of the file: its pictures are missing"


def _destroyed_page(data: mmap.mmap, track: int) -> int | None:
    numbers: dict[bytes, int] = {}  # of the last page of each stream, by the stream's serial number
    codecs: dict[bytes, bytes] = {}  # of each stream; joined files may use the same serial number
    video: bytes | None = None
    at = 0
    while 0 <= at < len(data):
        header = data[at : at + OGG_HEADER]
        serial, number = header[_SERIAL:_NUMBER], int.from_bytes(header[_NUMBER:_CHECKSUM], "little")
        if header.startswith(OGG_PAGE) and len(header) == OGG_HEADER:
            content = at + OGG_HEADER + header[-1]
            if header[_FLAGS] & _FIRST_PAGE:
                codecs[serial] = data[content : content + _CODEC_BYTES]
                if len(codecs) == track + 1 and video is None:
                    video = codecs[serial]
            numbers[serial] = number
            at = content + sum(data[at + OGG_HEADER : content])
            continue
        follows = header[_VERSION : _VERSION + 1] == b"\0" and number == numbers.get(serial, number) + 1
        of_video = video is None or codecs.get(serial) == video  # a lost page of the sound takes no picture with it
        if follows and of_video and not header.startswith(OGG_PAGE):
            return at
        at = data.find(OGG_PAGE, at + 1)
    return None
