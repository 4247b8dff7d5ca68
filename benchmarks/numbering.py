"""Print the cost of numbering by times at a constant rate: `python -m benchmarks.numbering`.

Each round detects in a clip as an original, whose frames are numbered by their times as in Tator's player, and as a
streaming copy, whose frames are counted. It also reads the clip in both ways, with one thread. Processor times are
compared, and the CSV files byte by byte. Everything else is the same, including the checks for damage.
"""

import argparse
import json
import logging
import statistics
import tempfile
from collections.abc import Callable
from fractions import Fraction
from pathlib import Path
from typing import Any
from unittest import mock

from benchmarks.case import sample_network, step_arguments
from benchmarks.checks import write_as
from benchmarks.clips import RATE, write_clip
from benchmarks.inside import open_case
from benchmarks.measure import Usage, cores, in_turns, measured, quiet
from scripts import detect as step
from scripts.lib.boxes import Size
from scripts.lib.detection import network
from scripts.lib.engines.base import Engine
from scripts.lib.frames.reader import open_frames
from scripts.lib.frames.shown import Shown
from scripts.lib.workflow.jobs import job

_SIZE = Size(1280, 720)
_FRAMES = 150
_CLIPS = ("h264.mp4", "h264.ts", "hevc.mp4")
# The largest allowed cost of numbering, as a share of processor time.
_MOST = 0.01


def _arguments(folder: Path, clip: Path, role: str) -> dict[str, Any]:
    """Write the records of a media whose file is an original or a streaming copy; return detect's arguments."""
    arguments = step_arguments(sample_network(None), clip, folder, cores())
    record, download = folder / "record.json", folder / "download.json"
    size = {"width": _SIZE.width, "height": _SIZE.height}
    stored = {"path": clip.name, "size": clip.stat().st_size, "codec": None, "role": role, **size}
    copy = stored | {"role": "streaming"} if role == "archival" else None
    wanted = json.loads(record.read_text()) | size | {"fps": float(RATE), "num_frames": _FRAMES}
    record.write_text(json.dumps(wanted | {"file": stored, "copy": copy}))
    download.write_text(json.dumps(json.loads(download.read_text()) | {"role": role}))
    return job.bind(step.detect, arguments)


def _compare(folder: Path, clip: Path, engine: Engine, rounds: int, patience: int) -> tuple[list[list[Usage]], bool]:
    """Return each round's usage, for detecting and reading, by times and by counting; and whether boxes are equal."""
    shown = Shown(rate=Fraction(RATE), width=_SIZE.width, height=_SIZE.height, count=_FRAMES)
    by_role = {role: _arguments(folder / role, clip, role) for role in ("archival", "streaming")}

    def detect(role: str) -> None:
        with mock.patch.object(network, "open_engine", return_value=engine), mock.patch.object(engine, "close"):
            step.detect(**by_role[role])

    def read(how: Shown | None) -> None:
        with open_frames(clip, "video", shown=how) as frames:
            for _ in frames:
                pass

    def timed(action: Callable[..., None], argument: object) -> Callable[[], Usage]:
        return lambda: measured(lambda: action(argument))

    actions = [timed(detect, role) for role in by_role] + [timed(read, how) for how in (shown, None)]
    for action in actions:
        action()
    numbered = {role: json.loads((folder / role / "outcome.json").read_text()) for role in by_role}
    if numbered["archival"]["numbering"]["numbers"] != _FRAMES:
        raise RuntimeError(f"{clip.name}: expected {_FRAMES} numbers by times: {numbered['archival']['numbering']}")
    found = in_turns(actions, rounds, patience)
    boxes = [(folder / role / "detections.csv").read_bytes() for role in by_role]
    return found, boxes[0] == boxes[1]


def main() -> int:
    """Print the table of docs/evidence.md; return 1 if numbering costs too much or changes a box."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=9, help="rounds for each clip (9)")
    parser.add_argument("--patience", type=int, default=3, help="further rounds in place of disturbed ones (3)")
    options = parser.parse_args()
    logging.disable(logging.CRITICAL)
    print("| clip | detection by times / by counting | reading | equal boxes | rounds, quiet |\n|---|---|---|---|---|")
    failed = False
    with tempfile.TemporaryDirectory() as name, open_case(sample_network(None)) as engine:
        folder = Path(name)
        like = write_clip(folder / "h264.mp4", _SIZE, _FRAMES)
        for clip in _CLIPS:
            rounds, equal = _compare(
                folder / f"of-{clip}", write_as(folder, clip, like), engine, options.rounds, options.patience
            )
            whole = statistics.median(by_times.cpu / counted.cpu for by_times, counted, _, _ in rounds)
            reading = statistics.median(by_times.cpu / counted.cpu for _, _, by_times, counted in rounds)
            failed = failed or not equal or whole > 1 + _MOST
            of_quiet = f"{len(rounds)}, {sum(map(quiet, rounds))}"
            print(f"| {clip} | {whole:.4f} | {reading:.4f} | {'yes' if equal else 'no'} | {of_quiet} |", flush=True)
    return int(failed)


if __name__ == "__main__":
    raise SystemExit(main())
