"""Describe a network's file: its input and outputs, classes and suppression; and show the boxes that it finds.

    python -m scripts.commands.inspect_network FILE [--picture IN --out OUT.png]

It also reads the files next to it, as a run does, and runs with OpenVINO unless `--engine` names another.
"""

import argparse
import json
import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from scripts.lib import command_line
from scripts.lib.boxes import Size
from scripts.lib.engines.rows import PIXELS
from scripts.lib.engines.table import DEFAULT_ENGINE, names_of, open_engine
from scripts.lib.errors import GraphError, SettingsError
from scripts.lib.files import naming_full_disk, replacing
from scripts.lib.graphs import external
from scripts.lib.graphs import train_ini as train
from scripts.lib.graphs.class_names import TRAIN_INI
from scripts.lib.graphs.description import Description
from scripts.lib.graphs.families import NAMES
from scripts.lib.graphs.file_names import folder_of, missing
from scripts.lib.graphs.found_network import FoundNetwork, NetworkSettings, inspect_graph, read_description
from scripts.lib.graphs.operators import check_operators
from scripts.lib.network_access.token import redact
from scripts.lib.preprocessing.fitting import Fitting
from scripts.lib.suppression import Selection, select
from scripts.lib.workflow.processes import deadline

_LISTED = 20
_GREEN = (80, 220, 80)


def lines_about(found: FoundNetwork, size: Size | None) -> list[str]:
    """Describe a network, a line for each property."""
    names = found.names
    shown = ", ".join(names.names[:_LISTED]) + (", ..." if len(names.names) > _LISTED else "")
    lines = [
        f"file: {found.signature.source}",
        f"inputs: {', '.join(map(str, found.signature.inputs))}",
        f"outputs: {', '.join(map(str, found.signature.outputs))}",
        f"classes: {len(names.names)} of {names.source}: {shown}",
        f"size: {f'{size.width} x {size.height} pixels' if size else 'any; set detect.img_max_side and img_min_side'}",
    ]
    if found.description is None:
        return [*lines, "family: retinanet or rows, see docs/networks.md"]
    return [*lines, *_described(found.description)]


def _described(description: Description) -> list[str]:
    values = description.to_values()
    labels = description.labels or f"from {description.first_label} on"
    return [
        f"family: {description.family}",
        *(f"{part}: {json.dumps(values[part])}" for part in ("resize", "pixels", "outputs", "boxes", "scores")),
        *(f"input {name}: {json.dumps(given)}" for name, given in values["inputs"].items()),
        f"labels: {labels}",
        f"suppression: {json.dumps(values['suppression']) if description.suppression else 'inside the graph'}",
    ]


def inspect_network(
    graph: Path,
    *,
    asked: NetworkSettings,
    picture: Path | None = None,
    out: Path | None = None,
    threshold: float = 0.3,
    engine: str = DEFAULT_ENGINE,
) -> list[str]:
    """Describe a network, a line for each property; with a picture also each box, and draw the boxes into `out`.

    Args:
        graph: the file; names and settings next to it are read too.
        asked: the settings, as those of a run.
        picture: the picture to detect boxes in.
        out: the file to write with the picture and its boxes.
        threshold: the least score of a box.
        engine: an engine that need not be built first.

    Raises:
        GraphError: it is not a detector, or the picture cannot be read.
        SettingsError: a setting is missing that the file does not contain.
    """
    if not graph.is_file():
        raise GraphError(f"{graph}: is not a file; expected a network: a .onnx, .pb or .xml file")
    check_operators(graph)
    found = inspect_graph(graph, asked, folder_of(graph), needs_size=False)
    size = asked.size or found.size or train.size(graph.with_name(TRAIN_INI))
    lines = lines_about(found, size)
    with _with_weights(graph) as whole:
        if picture is None:
            return lines
        if size is None:
            raise SettingsError(f"{graph}: its size is not known; add --size WIDTH HEIGHT")
        frame = _read(picture)
        kept = _boxes(whole, found, asked, frame, size, threshold, engine)
    if out is not None:
        _draw(frame, kept, found.names.names, out)
        lines.append(f"{out}: written")
    return [*lines, *_rows(kept, found.names.names)]


@contextmanager
def _with_weights(graph: Path) -> Iterator[Path]:
    """Yield a graph with its weights: for an ONNX file with weights in other files, a temporary copy with both.

    Raises:
        GraphError: a file of weights is missing, or does not fit the graph.
    """
    weights = graph.with_suffix(".bin")
    if graph.suffix == ".xml" and not weights.is_file():
        raise GraphError(missing(folder_of(graph), weights.name, sorted(path.name for path in graph.parent.iterdir())))
    with tempfile.TemporaryDirectory(prefix="inspect_network-") as folder, naming_full_disk(Path(folder)):
        whole = Path(folder, graph.name)
        is_written = graph.suffix == ".onnx" and external.write_with_weights(graph, graph.parent, whole, str(graph))
        yield whole if is_written else graph


def _read(picture: Path) -> Any:
    import cv2
    import numpy as np

    content = np.fromfile(picture, np.uint8)  # imread prints a warning of its own if there is no such file
    try:
        frame = cv2.imdecode(content, cv2.IMREAD_COLOR) if len(content) else None
    except cv2.error:  # a size that OpenCV does not accept
        frame = None
    if frame is None:
        raise GraphError(f"{picture}: cannot be read as a picture; expected JPEG, PNG or TIFF")
    return frame


def _boxes(  # noqa: PLR0917, only the function above calls it
    graph: Path, found: FoundNetwork, asked: NetworkSettings, frame: Any, size: Size, threshold: float, engine: str
) -> Selection:
    """Return the boxes that the network detects in a picture, in pixels of the picture."""
    import numpy as np

    from scripts.lib.boxes import on_media
    from scripts.lib.engines.request import RowsConvention
    from scripts.lib.graphs.description import Resize

    description, names = found.description, len(found.names.names)
    fitting = Fitting(description.resize if description else Resize(), size)
    batch = np.zeros((1, size.height, size.width, 3), fitting.resize.dtype)
    fitting.fit(frame, batch[0])
    rows = RowsConvention(asked.pixels, asked.first_label, names)
    with open_engine(
        graph, engine=engine, size=size, batch_size=1, threads=2, rows=rows, description=description, names=names
    ) as opened:
        with deadline.watched(str(graph), "busy with a picture"):
            outputs = opened.infer(batch)
        kept = select(outputs.boxes[0], outputs.scores[0], threshold, opened.nms)
    whole = Size(frame.shape[1], frame.shape[0])
    placed = on_media(kept.boxes, network=size, frame=whole, media=whole, mapping=fitting.mapping(whole))
    corners = (placed / 1000).astype(np.float32)
    corners[:, 2:] += corners[:, :2]
    return Selection(corners, kept.labels, kept.scores)


def _rows(kept: Selection, names: Sequence[str]) -> list[str]:
    lines = [f"boxes: {len(kept.boxes)}"]
    for box, label, scores in zip(kept.boxes, kept.labels, kept.scores, strict=True):
        x1, y1, x2, y2 = (round(float(value), 1) for value in box)
        lines.append(f"  {names[label]} {scores[label]:.3f}: x {x1} to {x2}, y {y1} to {y2}")
    return lines


def _draw(frame: Any, kept: Selection, names: Sequence[str], out: Path) -> None:
    import cv2

    shown = frame.copy()
    for box, label, scores in zip(kept.boxes, kept.labels, kept.scores, strict=True):
        x1, y1, x2, y2 = (round(float(value)) for value in box)
        cv2.rectangle(shown, (x1, y1), (x2, y2), _GREEN, 2)
        text = f"{names[label]} {scores[label]:.2f}"
        cv2.putText(shown, text, (x1, max(12, y1 - 4)), cv2.FONT_HERSHEY_SIMPLEX, 0.5, _GREEN, 1, cv2.LINE_AA)
    _, content = cv2.imencode(out.suffix, shown)
    with replacing(out, "wb") as stream:
        stream.write(content.tobytes())


def _picture_file(text: str) -> Path:
    path = command_line.output_file(text)
    if path.suffix.lower() not in (".png", ".jpg", ".jpeg"):
        raise argparse.ArgumentTypeError(f"{text!r}; expected a name that ends in .png or .jpg")
    return path


def main(arguments: Sequence[str] | None = None) -> int:
    """Read the command line; return 0, or 1 when the network cannot be used as it is."""
    parser = command_line.Parser(
        prog="python -m scripts.commands.inspect_network",
        description="Describe a network's file, and show the boxes that it detects in a picture.",
    )
    parser.add_argument(
        "graph", type=command_line.path, metavar="FILE", help="the network: .onnx, .pb or OpenVINO's .xml"
    )
    parser.add_argument("--family", choices=NAMES, default="auto", help="as network.family")
    parser.add_argument(
        "--description", type=command_line.path, metavar="FILE", help="as network.description, in a YAML file"
    )
    parser.add_argument("--pixels", choices=PIXELS, help="as network.pixels")
    parser.add_argument("--first-label", type=int, choices=(0, 1), help="as network.first_label")
    parser.add_argument(
        "--size", type=command_line.side, nargs=2, metavar=("WIDTH", "HEIGHT"), help="size of the network's input"
    )
    parser.add_argument("--picture", type=command_line.path, metavar="IN", help="detect boxes in this picture")
    parser.add_argument("--out", type=_picture_file, metavar="OUT", help="write the picture with its boxes here")
    parser.add_argument(
        "--threshold", type=command_line.share, default=0.3, help="the least score of a box (default: 0.3)"
    )
    parser.add_argument("--engine", choices=names_of(is_built=False), default=DEFAULT_ENGINE)
    given = parser.parse_args(arguments)
    if given.out is not None and given.picture is None:
        parser.error("--out needs --picture")

    def inspect() -> None:
        command_line.refuse_to_replace([given.picture], given.out, "--out")
        description = None if given.description is None else read_description(given.description)
        width, height = given.size or (None, None)
        asked = NetworkSettings(given.family, description, given.pixels, given.first_label, width, height)
        lines = inspect_network(
            given.graph,
            asked=asked,
            picture=given.picture,
            out=given.out,
            threshold=given.threshold,
            engine=given.engine,
        )
        sys.stdout.write("".join(f"{redact(line)}\n" for line in lines))  # names in the network may contain a token

    return command_line.run(inspect)


if __name__ == "__main__":
    sys.exit(main())
