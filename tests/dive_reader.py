"""Read a run's tracks with DIVE's own parser of VIAME's CSV; by hand, in a separate environment.

    python -m venv reader && reader/bin/pip install --no-deps dive-dsa && reader/bin/pip install "pydantic<2" pymongo
    reader/bin/python tests/dive_reader.py RUN_FOLDER

RUN_FOLDER is that of a run with track.enabled and export.tracks.
"""

import csv
import sys
from pathlib import Path
from types import ModuleType
from typing import Any


def read(path: Path) -> str:
    """Read a file of results/viame; return a line about the tracks that DIVE reads.

    Raises:
        ValueError: when DIVE finds other tracks, boxes or marks of filled gaps than the file has.
    """
    from dive_utils.serializers.viame import load_csv_as_tracks_and_attributes

    lines = path.read_text(encoding="utf-8").splitlines()
    rows = [row for row in csv.reader(lines) if not row[0].startswith("#")]
    found, _ = load_csv_as_tracks_and_attributes(lines)
    boxes = [
        (str(track["id"]), str(box["frame"]), box.get("attributes", {}).get("interpolated") is True)
        for track in found["tracks"].values()
        for box in track["features"]
    ]
    if sorted(boxes) != sorted((row[0], row[2], row[11:] == ["(atr) interpolated true"]) for row in rows):
        raise ValueError(f"{path}: DIVE finds other boxes than the file has")
    filled = sum(is_filled for _, _, is_filled in boxes)
    return f"{len(found['tracks'])} tracks, {len(boxes)} boxes, of which {filled} fill gaps"


def main(run: Path) -> None:
    """Read the tracks of each video with DIVE, and print a line for each."""
    rest: Any = ModuleType("girder.api.rest")  # DIVE's server, which its parser does not need
    rest.setResponseHeader = None
    sys.modules |= {"girder": ModuleType("girder"), "girder.api": ModuleType("girder.api"), "girder.api.rest": rest}
    for path in sorted((run / "results" / "viame").glob("*.csv")):
        sys.stdout.write(f"{path.name}: {read(path)}\n")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
