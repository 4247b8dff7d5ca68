"""Write all boxes as files that CVAT imports ("CVAT for images 1.1")."""

from collections.abc import Iterable
from pathlib import Path
from typing import IO
from xml.sax.saxutils import escape, quoteattr

from scripts.lib.detections import Detection
from scripts.lib.files import replacing
from scripts.lib.folder_source.listing import shown_path
from scripts.lib.graphs import train_ini as train
from scripts.lib.label_files.media_boxes import MediaBoxes, each_media
from scripts.lib.text.display_text import without_commands
from scripts.lib.workflow.jobs import job


def export_cvat(
    *, records: list[Path], outcomes: list[Path], detections: list[Path], train_ini: Path, cvat: Path
) -> None:
    """Write `pictures.xml` with all pictures, and `{media_id}.xml` for each video, which is a separate task in CVAT.

    The name of an image in `pictures.xml` is the picture's path. The frames of a video are named as in CVAT,
    `frame_000012`, and those without a box are left out. A box has its score as an attribute.

    Args:
        records: the records of resolve_media or list_media.
        outcomes: the records of detect, in the same order.
        detections: the CSV files of detect, in the same order.
        train_ini: the species' names.
        cvat: the folder to make.
    """
    cvat.mkdir(parents=True, exist_ok=True)
    names = train.species(train_ini)
    picture_number = 0
    with replacing(cvat / "pictures.xml") as pictures:
        _begin(pictures, "Pictures", names)
        for media in each_media(records, outcomes, detections):
            if media.failure is not None:
                continue
            if media.is_video:
                with replacing(cvat / f"{media.media_id}.xml") as stream:
                    _begin(stream, media.path, names)
                    for frame, rows in media.boxes():
                        _image(stream, media, rows, names, number=frame, name=f"frame_{frame:06d}")
                    stream.write("</annotations>\n")
            else:
                boxes = (row for _, rows in media.boxes() for row in rows)
                _image(pictures, media, boxes, names, number=picture_number, name=media.path)
                picture_number += 1
        pictures.write("</annotations>\n")


def _begin(stream: IO[str], task: str, names: list[str]) -> None:
    score = (
        "<attribute><name>score</name><mutable>False</mutable><input_type>number</input_type>"
        "<default_value>0</default_value><values>0\n1\n0.001</values></attribute>"
    )
    labels = "".join(
        f"<label><name>{_text(name)}</name><type>rectangle</type><attributes>{score}</attributes></label>\n"
        for name in names
    )
    stream.write(
        '<?xml version="1.0"?>\n<annotations>\n<version>1.1</version>\n<meta><task>'
        f"<name>{_text(task)}</name><mode>annotation</mode><labels>\n{labels}</labels></task></meta>\n"
    )


def _image(
    stream: IO[str], media: MediaBoxes, rows: Iterable[Detection], names: list[str], *, number: int, name: str
) -> None:
    stream.write(f'<image id="{number}" name={_attribute(name)} width="{media.width}" height="{media.height}">\n')
    for row in rows:
        right, bottom = min(row.x + row.w, media.width), min(row.y + row.h, media.height)
        stream.write(
            f'<box label={_attribute(names[row.species - 1])} source="auto" occluded="0" xtl="{row.x:.3f}" '
            f'ytl="{row.y:.3f}" xbr="{right:.3f}" ybr="{bottom:.3f}" z_order="0">'
            f'<attribute name="score">{row.score:.6f}</attribute></box>\n'
        )
    stream.write("</image>\n")


def _text(text: str) -> str:
    return escape(without_commands(shown_path(text)))


def _attribute(text: str) -> str:
    return quoteattr(without_commands(shown_path(text)))


if __name__ == "__main__":
    job.run(export_cvat, snakemake)  # type: ignore[name-defined]
