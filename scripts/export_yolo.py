"""Write all boxes as YOLO's text files."""

import errno
import logging
from contextlib import closing
from pathlib import Path

import yaml

from scripts.lib import train_ini as train
from scripts.lib.label_files.media_boxes import each_media
from scripts.lib.temporary_tables import as_key, temporary_tables
from scripts.lib.workflow.jobs import job

FRAMES_IN_A_FOLDER = 10_000
# The name is too long, or is that of another media's folder or file: a video `a.txt.mp4` and a picture `a.jpg`.
_NO_SUCH_NAME = {errno.ENAMETOOLONG, errno.EEXIST, errno.ENOTDIR, errno.EISDIR}

_log = logging.getLogger(__name__)


def export_yolo(
    *, records: list[Path], outcomes: list[Path], detections: list[Path], train_ini: Path, yolo: Path
) -> None:
    """Write `labels/{path of a picture}.txt`, and `data.yaml` with the species' names.

    A line is a box: species from 0, then centre, width and height as shares of the picture's sides. Lines have no
    score, as training programs would read such a line as an outline. A picture without a box has no file. Each frame
    of a video with a box has a file, `labels/{path of the video}/{ten thousands}/{frame}.txt`.

    Args:
        records: the records of resolve_media or list_media.
        outcomes: the records of detect, in the same order.
        detections: the CSV files of detect, in the same order.
        train_ini: the species' names.
        yolo: the folder to write.
    """
    labels = yolo / "labels"
    labels.mkdir(parents=True, exist_ok=True)
    with closing(_Stems()) as stems:
        for media in each_media(records, outcomes, detections):
            if media.failure is not None:
                continue
            stem = media.stem
            if not stems.take(stem):  # as for a.jpg and a.png
                _log.warning(
                    "media %d: another one has the labels %s.txt; its own are %s.txt", media.media_id, stem, media.path
                )
                stem = media.path
                stems.take(stem)
            for frame, rows in media.boxes():
                lines = []
                for row in rows:
                    x, y, w, h = media.share(row)
                    lines.append(f"{row.species - 1} {x + w / 2:.6f} {y + h / 2:.6f} {w:.6f} {h:.6f}\n")
                try:
                    _write(labels, stem, frame if media.is_video else None, lines)
                except OSError as error:
                    if error.errno not in _NO_SUCH_NAME:
                        raise
                    _log.warning(
                        "media %d: no file can be called labels/%s.txt; its labels are %d.txt",
                        media.media_id,
                        stem,
                        media.media_id,
                    )
                    stem = str(media.media_id)
                    _write(labels, stem, frame if media.is_video else None, lines)
    names = dict(enumerate(train.species(train_ini)))
    readable = all(name.isprintable() for name in names.values())  # otherwise other characters than ASCII are escaped
    content = {"path": ".", "train": "images", "val": "images", "nc": len(names), "names": names}
    (yolo / "data.yaml").write_text(yaml.safe_dump(content, sort_keys=False, allow_unicode=readable), encoding="utf-8")


class _Stems:
    """The file names in use, kept in a temporary file, as a run may have a million."""

    def __init__(self) -> None:
        self._table = temporary_tables("CREATE TABLE taken (stem BLOB PRIMARY KEY) WITHOUT ROWID")

    def take(self, stem: str) -> bool:
        """Reserve a name; return whether it was free."""
        added = self._table.execute("INSERT OR IGNORE INTO taken VALUES (?)", (as_key(stem),))
        return added.rowcount == 1

    def close(self) -> None:
        """Close and remove the temporary file."""
        self._table.close()


def _write(labels: Path, stem: str, frame: int | None, lines: list[str]) -> None:
    name = stem if frame is None else f"{stem}/{frame // FRAMES_IN_A_FOLDER:04d}/{frame:08d}"
    path = labels / f"{name}.txt"
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("x", encoding="utf-8") as stream:
        stream.writelines(lines)


if __name__ == "__main__":
    job.run(export_yolo, snakemake)  # type: ignore[name-defined]
