"""A look at a file of true boxes while the run is planned: its form, and whether it names media of the run.

Imports nothing heavy. `truth.py` reads the file's content, when the media's names are known.
"""

import csv
import itertools
from collections.abc import Collection, Iterator
from pathlib import Path

from scripts.lib import json_text
from scripts.lib.display_text import short
from scripts.lib.files import read_text

# Rows that are looked at: a file of true boxes may have millions.
ROWS = 100_000
# JSON is read as a whole, and takes several times as much memory.
LARGEST_COCO = 2**30


def problem(path: Path, media_ids: Collection[int]) -> str | None:
    """Return what is wrong with a file of true boxes, None if nothing is, or if that cannot be known yet.

    Args:
        path: CSV or COCO JSON.
        media_ids: the run's.
    """
    try:
        named = list(itertools.islice(_coco(path) if path.suffix.lower() == ".json" else _csv(path), ROWS))
    except (OSError, ValueError, LookupError, TypeError, AttributeError, OverflowError, csv.Error) as error:
        reason = f"{type(error).__name__}: {short(str(error), 200)}"
        return f"cannot be read ({reason}); expected CSV or COCO JSON as docs/report.md shows"
    if not named:
        return "holds no boxes; expected true boxes of the run's media"
    if None in named or set(named) & set(media_ids) or len(named) == ROWS:
        return None
    some = ", ".join(short(str(media_id)) for media_id in sorted(set(filter(None, named)))[:5])
    return f"names the media {some}, none of which is in this run; expected true boxes of the run's media"


def _csv(path: Path) -> Iterator[int | None]:
    """Yield the media id of each row; None where only the media's name can tell."""
    with path.open(encoding="utf-8-sig", newline="") as stream:
        for row in csv.DictReader(stream, skipinitialspace=True):
            yield int(row["media_id"]) if "media_id" in row else None


def _coco(path: Path) -> Iterator[int | None]:
    content = json_text.parse(read_text(path, LARGEST_COCO))
    if content["annotations"]:
        for image in content["images"]:
            media_id = image.get("media_id")
            yield None if media_id is None else int(media_id)
