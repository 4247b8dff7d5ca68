"""Write all boxes as YOLO's text files."""

import errno
import logging
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import yaml

from scripts.lib.graphs import train_ini as train
from scripts.lib.label_files.media_boxes import MediaBoxes, each_media
from scripts.lib.records.temporary_tables import as_key, temporary_tables
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
            free = filter(stems.take, _possible_stems(media))
            stem = next(free)
            if stem != media.stem:  # as for a.jpg and a.png
                _log.warning(
                    "media %d: another one has the labels %s.txt; its own are %s.txt", media.media_id, media.stem, stem
                )
            for frame, rows in media.boxes():
                lines = []
                for row in rows:
                    x, y, w, h = media.share(row)
                    lines.append(f"{row.species - 1} {x + w / 2:.6f} {y + h / 2:.6f} {w:.6f} {h:.6f}\n")
                number = frame if media.is_video else None
                while not _is_written(labels, stem, number, lines):
                    unusable, stem = stem, next((one for one in free if one != media.path), "")
                    if not stem:
                        raise OSError(errno.ENAMETOOLONG, "no name for its labels is possible", str(labels / unusable))
                    _log.warning(
                        "media %d: no file can be called labels/%s.txt; its labels are %s.txt",
                        media.media_id,
                        unusable,
                        stem,
                    )
    names = dict(enumerate(train.species(train_ini)))
    readable = all(name.isprintable() for name in names.values())  # otherwise other characters than ASCII are escaped
    # Without `path`, which would be relative to the current folder, folders are relative to the file's own.
    content = {"train": "images", "val": "images", "nc": len(names), "names": names}
    (yolo / "data.yaml").write_text(yaml.safe_dump(content, sort_keys=False, allow_unicode=readable), encoding="utf-8")


def _possible_stems(media: MediaBoxes) -> Iterator[str]:
    """Yield names for a media's labels, the best first; another media may have each of them."""
    yield from dict.fromkeys((media.stem, media.path, str(media.media_id)))
    yield from (f"{media.media_id}_{number}" for number in range(2, 10))


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


def _is_written(labels: Path, stem: str, frame: int | None, lines: list[str]) -> bool:
    """Write the labels of a picture or frame; return False if no file can have the name."""
    name = stem if frame is None else f"{stem}/{frame // FRAMES_IN_A_FOLDER:04d}/{frame:08d}"
    path = labels / f"{name}.txt"
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        stream = path.open("x", encoding="utf-8")
    except OSError as error:
        if error.errno not in _NO_SUCH_NAME:
            raise
        return False
    with stream:
        stream.writelines(lines)
    return True


if __name__ == "__main__":
    job.run(export_yolo, snakemake)  # type: ignore[name-defined]
