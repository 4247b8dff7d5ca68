"""Read and write files with media ids, one on each line (tator.media_file, select_media); `#` begins a comment."""

import re
from collections.abc import Iterable, Iterator
from pathlib import Path

from scripts.lib.errors import SettingsError
from scripts.lib.files import home, read_text, replacing
from scripts.lib.text.display_text import shown

# At most 18 digits fit into a database's largest integer.
_ID = re.compile(r"0*[1-9][0-9]{0,17}", re.ASCII)
# Ten million ids.
LARGEST_BYTES = 2**28
# In a file of another kind every line is wrong.
_FAULTS_SHOWN = 5


def read(path: Path) -> list[int]:
    """Return the ids in a file, in its order, with duplicates.

    Raises:
        SettingsError: the file cannot be read, has no ids, or has other lines, which the message names.
    """
    name = shown(str(path))[1:-1]
    if any(part.startswith("~") for part in path.parts) and not path.exists():
        raise SettingsError(
            f"tator.media_file: {name}: ~ is replaced by a shell only; expected the whole path: "
            f"{home() or '/home/NAME'}/..."
        )
    try:
        text = read_text(path, LARGEST_BYTES)
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) else error
        raise SettingsError(
            f"tator.media_file: {name}: {reason}; expected a file with one media id on each line"
        ) from None
    lines = [(number, line.partition("#")[0].strip()) for number, line in enumerate(text.splitlines(), start=1)]
    wrong = [f"line {number}: {word[:40]!r}" for number, word in lines if word and not _ID.fullmatch(word)]
    if wrong:
        more = f" and {len(wrong) - _FAULTS_SHOWN} more" if len(wrong) > _FAULTS_SHOWN else ""
        raise SettingsError(
            f"tator.media_file: {name}: {', '.join(wrong[:_FAULTS_SHOWN])}{more}; expected on each line one "
            "media id, a number >= 1; # begins a comment"
        )
    media_ids = [int(word) for _, word in lines if word]
    if not media_ids:
        raise SettingsError(f"tator.media_file: {name}: it names no media; expected one media id on each line")
    return media_ids


def write(path: Path, media_ids: Iterable[int], remarks: Iterable[str]) -> None:
    """Write a file of media ids, atomically, with the remarks as comments at its beginning."""
    with replacing(path) as stream:
        stream.writelines(lines(media_ids, remarks))


def lines(media_ids: Iterable[int], remarks: Iterable[str]) -> Iterator[str]:
    """Yield the lines of a file of media ids; line breaks in a remark are replaced by spaces."""
    yield from (f"# {' '.join(remark.split())}\n" for remark in remarks)
    yield from (f"{media_id}\n" for media_id in media_ids)
