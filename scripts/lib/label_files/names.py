"""Names of files for media in Tator, whose own names may have any character."""

import re
from pathlib import PurePosixPath


def name_in_files(name: str) -> str:
    """Return a media's name with letters and digits of ASCII only, joined by `_`, at most 80 before the extension."""
    path = PurePosixPath(name)
    stem, suffix = (re.sub(r"[^A-Za-z0-9]+", "_", part).strip("_")[:80] for part in (path.stem, path.suffix))
    return stem + (f".{suffix}" if suffix else "")
