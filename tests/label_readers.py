"""Read a run's exports with the programs that they are for; by hand, since these packages are large.

    python -m venv readers && readers/bin/pip install megadetector-utils labelformat label-studio-sdk python-dwca-reader
    readers/bin/python tests/label_readers.py RUN_FOLDER MEDIA_FOLDER

RUN_FOLDER is that of a run on MEDIA_FOLDER with export.megadetector, yolo, cvat, label_studio and counts.
"""

import csv
import json
import sys
import tempfile
import zipfile
from pathlib import Path
from typing import Any
from xml.sax.saxutils import quoteattr

PICTURES = (
    '<View><Image name="image" value="$image"/><RectangleLabels name="label" toName="image">{}</RectangleLabels></View>'
)
VIDEOS = (
    '<View><Video name="video" value="$video"/><VideoRectangle name="box" toName="video"/>'
    '<Labels name="videoLabels" toName="video">{}</Labels></View>'
)


def read_megadetector(path: Path, media: Path) -> str:
    """Validate the file, also the paths of pictures, and load it."""
    from megadetector.postprocessing.load_api_results import load_api_results
    from megadetector.postprocessing.validate_batch_results import ValidateBatchResultsOptions, validate_batch_results

    options = ValidateBatchResultsOptions()
    options.raise_errors = options.check_image_existence = True
    options.relative_path_base = str(media)
    found = validate_batch_results(str(path), options)["validation_results"]
    if found["errors"] or found["warnings"]:
        raise ValueError(f"{path}: {found}")
    return f"{len(load_api_results(str(path))[0])} files"


def read_cvat(folder: Path) -> str:
    """Read every file; return the number of boxes."""
    from labelformat.formats.cvat import CVATObjectDetectionInput

    files = [CVATObjectDetectionInput(path) for path in sorted(folder.glob("*.xml"))]
    return f"{sum(len(label.objects) for file in files for label in file.get_labels())} boxes in {len(files)} files"


def read_label_studio(path: Path, names: list[str]) -> str:
    """Validate each prediction with the labelling interface in docs/folder.md."""
    from label_studio_sdk.label_interface import LabelInterface

    labels = "".join(f"<Label value={quoteattr(name)}/>" for name in names)
    count = 0
    for task in json.loads(path.read_text(encoding="utf-8")):
        interface: Any = LabelInterface((PICTURES if "image" in task["data"] else VIDEOS).format(labels))
        for prediction in task["predictions"]:
            if not interface.validate_prediction(prediction):
                raise ValueError(f"{path}: {task['data']}: its prediction is refused")
            count += len(prediction["result"])
    return f"{count} boxes"


def read_darwin_core(path: Path) -> str:
    """Read the occurrences as an archive of one file; return their number."""
    from dwca.read import DwCAReader

    with path.open(encoding="utf-8", newline="") as stream:
        expected = list(csv.DictReader(stream))
    with tempfile.TemporaryDirectory() as folder:
        archive = Path(folder, "occurrences.zip")
        with zipfile.ZipFile(archive, "w") as packed:
            packed.write(path, path.name)
        with DwCAReader(str(archive)) as found:
            rows = [dict(row.data) for row in found]
    if rows != expected:
        raise ValueError(f"{path}: the reader finds other values than the file has")
    return f"{len(rows)} occurrences"


def main(run: Path, media: Path) -> None:
    """Read all exports, and print their contents."""
    results = run / "results"
    megadetector = results / "detections.megadetector.json"
    names = list(json.loads(megadetector.read_text(encoding="utf-8"))["detection_categories"].values())
    sys.stdout.write(f"MegaDetector: {read_megadetector(megadetector, media)}\n")
    sys.stdout.write(f"CVAT: {read_cvat(results / 'cvat')}\n")
    label_studio = read_label_studio(results / "detections.label_studio.json", names)
    sys.stdout.write(f"Label Studio: {label_studio}\n")
    sys.stdout.write(f"Darwin Core: {read_darwin_core(results / 'occurrences.csv')}\n")


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
