"""Write the boxes of a run as several COCO files, as programs read a COCO file as a whole.

    python -m scripts.commands.coco_parts FOLDER [--media 100000] [--out FOLDER]

Writes detections.0001.coco.json and so on, each with the boxes of the given number of media, and parts.json, which
lists them. The numbers of images and annotations continue from file to file, so that files can be merged again.
"""

import argparse
import sys
from pathlib import Path
from typing import Any

from scripts.lib import command_line
from scripts.lib.files import write_json
from scripts.lib.finished_run import FinishedRun
from scripts.lib.graphs import train_ini as train
from scripts.lib.label_files.coco_file import CocoCount, write_coco

MEDIA_PER_FILE = 100_000


def coco_parts(folder: Path, media_per_file: int, out: Path) -> Path:
    """Write the files, and return the path of parts.json.

    Args:
        folder: the run's folder.
        media_per_file: the number of media in a file, at least 1.
        out: the folder to write into.

    Raises:
        PipelineError: there are no results.
    """
    run = FinishedRun.at(folder)
    species = train.species(run.results.parent / "resources" / "network" / "train.ini")
    out.mkdir(parents=True, exist_ok=True)
    (out / "parts.json").unlink(missing_ok=True)  # it would list files that are being replaced
    parts: list[dict[str, Any]] = []
    count = CocoCount()
    for at in range(0, len(run.media_ids), media_per_file):
        some, before = run.media_ids[at : at + media_per_file], count
        name = _name(len(parts) + 1)
        files = (
            (run.file("detections/{media_id}.csv", one), run.file("detections/{media_id}.json", one)) for one in some
        )
        count = write_coco(out / name, files, species, before)
        parts.append(
            {
                "file": name,
                "media": len(some),
                "first_media_id": some[0],
                "last_media_id": some[-1],
                "images": count.images - before.images,
                "annotations": count.annotations - before.annotations,
            }
        )
    _remove_after(out, len(parts))
    write_json(out / "parts.json", {"media_per_file": media_per_file, "parts": parts})
    return out / "parts.json"


def _name(number: int) -> str:
    return f"detections.{number:04d}.coco.json"


def _remove_after(out: Path, number: int) -> None:
    """Remove the files of an earlier call that had more of them."""
    while (old := out / _name(number + 1)).exists():
        old.unlink()
        number += 1


def main(arguments: list[str] | None = None) -> int:
    """Write the files that the command line names; return the exit code."""
    parser = command_line.Parser(
        prog="python -m scripts.commands.coco_parts",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("folder", type=command_line.path, metavar="FOLDER", help="the run's folder")
    parser.add_argument(
        "--media",
        type=command_line.positive,
        default=MEDIA_PER_FILE,
        metavar="N",
        help="media in a file (%(default)s)",
    )
    parser.add_argument("--out", type=command_line.output_folder, help="folder to write into (results/coco of the run)")
    options = parser.parse_args(arguments)
    return command_line.run(lambda: _run(options))


def _run(options: argparse.Namespace) -> None:
    out = options.out or FinishedRun.at(options.folder).results / "coco"
    sys.stdout.write(f"{coco_parts(options.folder, options.media, out)}\n")


if __name__ == "__main__":
    sys.exit(main())
