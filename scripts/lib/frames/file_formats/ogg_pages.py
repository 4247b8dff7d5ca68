"""Find a destroyed mark of an Ogg file's last page, without which FFmpeg reads the file without an error.

If another page's mark is destroyed, the number of the next page shows it (RFC 3533, section 6).
"""

from pathlib import Path

from scripts.lib.frames.file_formats.truncation import OGG_LARGEST, OGG_PAGE, known_end

_VERSION, _SERIAL, _NUMBER, _CHECKSUM = 4, 14, 18, 22  # offsets of a page's fields


def find_destroyed_end(path: Path) -> str | None:
    """Return a sentence if a page without its mark follows the last page; None if not, also if other data follow."""
    end = known_end(path, "ogg")
    start = max(0, end - OGG_LARGEST)
    with path.open("rb") as file:
        file.seek(start)
        pages, rest = file.read(end - start), file.read(_CHECKSUM)
    serials = {page[_SERIAL - len(OGG_PAGE) :][: _NUMBER - _SERIAL] for page in pages.split(OGG_PAGE)[1:]}
    # Padding of zeros has the number 0, which only the first page has.
    if rest[_VERSION : _VERSION + 1] == b"\0" and rest[_SERIAL:_NUMBER] in serials and any(rest[_NUMBER:]):
        return f"the mark of the last page is destroyed, at byte {end} of the file: its pictures are missing"
    return None
