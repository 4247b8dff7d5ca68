"""The YOLO families: recognize and describe the graphs of each exporter."""

import ast
import re
from dataclasses import replace
from typing import Any

from scripts.lib.boxes import Size
from scripts.lib.graphs.description import BoxFormat, Description, OutputNames, PixelFormat, Resize, Scores
from scripts.lib.graphs.feeding import size_of_input
from scripts.lib.graphs.hints import NetworkHints
from scripts.lib.graphs.signature import Signature, Tensor
from scripts.lib.suppression import Nms

STRIDES = ((8, 16, 32), (8, 16, 32, 64))
# Rows of a graph with suppression or selection inside: 300 unless it was exported with another limit.
_MOST_ROWS = 1000
_ROW = 6
_ANCHORS_PER_CELL = 3  # in YOLOv5's repository
_GREY = 114
_YOLOV6_OUTPUT = "outputs"  # its exporter's name; YOLOX's is `output`
_LONGEST_LITERAL = 1000  # characters; parsing a megabyte takes half a gigabyte of memory and seconds
_MASK_NUMBERS = 32  # mask coefficients of a box in Ultralytics' segmentation

_LETTERBOX = Resize("letterbox", "centre", _GREY)
_ONE_GAIN = replace(_LETTERBOX, one_gain=True)
_TOP_LEFT = Resize("letterbox", "top_left", _GREY, rounding="down", one_gain=True)
_UNIT_RGB = PixelFormat("rgb", 255.0)
_ULTRALYTICS_NMS = Nms(iou=0.7, max_detections=300, per_class=True, best_class=True)
_YOLOV5_NMS = Nms(iou=0.45, max_detections=1000, per_class=True, best_class=True)
_YOLOX_NMS = Nms(iou=0.45, max_detections=1000)


def ultralytics(signature: Signature, hints: NetworkHints) -> Description | None:
    """Describe a graph exported by Ultralytics: with raw boxes, end-to-end, or with the suppression inside."""
    output = _table_output(signature)
    if output is None or _is_rtdetr(signature) or not _takes_pictures(signature):
        return None
    written, place = "task" in signature.metadata, signature.outputs.index(output)
    size, multiple = size_of(signature), _largest_stride(signature)
    if _is_rows(output, signature):
        return Description(
            "ultralytics", OutputNames(table=place, is_rows=True), _LETTERBOX, _UNIT_RGB, multiple=multiple
        ).with_size(size)
    lengths = output.shape or ()
    boxes_last = lengths[1:2] == (4 + hints.names,) or (written and lengths[2:] != (4 + hints.names,))
    by_shape = lengths[1:2] == (4 + hints.names,) and (lengths[2] is None or _boxes_per_cell(size, lengths[2]) == 1)
    if len(lengths) != 3 or not (written or by_shape):
        return None
    return Description(
        "ultralytics", OutputNames(table=place, boxes_last=boxes_last), _LETTERBOX, _UNIT_RGB, BoxFormat("cxcywh"),
        suppression=_ULTRALYTICS_NMS, multiple=multiple,
    ).with_size(size)  # fmt: skip


def ultralytics_rtdetr(signature: Signature, hints: NetworkHints) -> Description | None:
    """Describe an RT-DETR exported by Ultralytics: shapes as for its end-to-end YOLOs, with other values."""
    del hints
    output = _table_output(signature)
    is_rtdetr = _is_rtdetr(signature)
    if output is None or not _is_rows(output, signature) or not _takes_pictures(signature):
        return None
    if not is_rtdetr and "task" in signature.metadata:
        return None
    place = signature.outputs.index(output)
    return Description(
        "ultralytics-rtdetr", OutputNames(table=place, is_rows=True), Resize("stretch"), _UNIT_RGB,
        BoxFormat("cxcywh", "fraction"),
    ).with_size(size_of(signature))  # fmt: skip


def yolov5(signature: Signature, hints: NetworkHints) -> Description | None:
    """Describe a graph of YOLOv5's repository, or MegaDetector v5: with objectness, and three anchors per cell."""
    output = _table_output(signature)
    if output is None or not _has_objectness(output, hints) or not _takes_pictures(signature):
        return None
    size, written = size_of(signature), "stride" in signature.metadata and "task" not in signature.metadata
    anchors = output.shape[1] if output.shape else None
    is_chosen = written or hints.family == "yolov5"
    fits = _boxes_per_cell(size, anchors) == _ANCHORS_PER_CELL if size and anchors else is_chosen
    if "task" in signature.metadata or not (fits or (anchors is None and not signature.metadata)):
        return None
    return Description(
        "yolov5", OutputNames(table=0), _ONE_GAIN, _UNIT_RGB, BoxFormat("cxcywh"), Scores(objectness=True), _YOLOV5_NMS,
        multiple=_largest_stride(signature),
    ).with_size(size)  # fmt: skip


def yolov6(signature: Signature, hints: NetworkHints) -> Description | None:
    """Describe a YOLOv6 graph: shapes as in YOLOX, input and values as in YOLOv5, and its own name of the output."""
    output = _one_box_per_cell(signature, hints)
    if output is None or (output.name != _YOLOV6_OUTPUT and hints.family != "yolov6"):
        return None
    return Description(
        "yolov6", OutputNames(table=0), _ONE_GAIN, _UNIT_RGB, BoxFormat("cxcywh"), Scores(objectness=True), _YOLOV5_NMS,
        multiple=32,
    ).with_size(size_of(signature))  # fmt: skip


def yolox(signature: Signature, hints: NetworkHints) -> Description | None:
    """Describe a YOLOX graph, with or without decoding inside: with objectness, and one box per cell."""
    output = _one_box_per_cell(signature, hints)
    if output is None or (output.name == _YOLOV6_OUTPUT and hints.family != "yolox"):
        return None
    # Only decoding uses Exp, for the sizes of boxes.
    decoded = "Exp" in signature.operators
    boxes = BoxFormat("cxcywh") if decoded else BoxFormat("cxcywh", "grid", STRIDES[0])
    return Description(
        "yolox", OutputNames(table=0), _TOP_LEFT, PixelFormat("bgr", 1.0), boxes,
        Scores(objectness=True), _YOLOX_NMS, multiple=32,
    ).with_size(size_of(signature))  # fmt: skip


def size_of(signature: Signature) -> Size | None:
    """Return the size of the input, or else `imgsz` in the metadata (height first); None if there is neither."""
    fixed = size_of_input(signature)
    if fixed is not None:
        return fixed
    sides = literal(signature.metadata.get("imgsz"))
    if isinstance(sides, int):
        sides = [sides, sides]
    if isinstance(sides, list | tuple) and len(sides) == 2 and all(isinstance(one, int) and one > 0 for one in sides):
        return Size(sides[1], sides[0])
    return None


def literal(value: Any) -> Any:
    """Return the value of a metadata text that is a short Python literal; any other text unchanged."""
    if not isinstance(value, str) or len(value) > _LONGEST_LITERAL:
        return value
    try:
        return ast.literal_eval(value)
    except (ValueError, SyntaxError, MemoryError, RecursionError):
        return value


def advice_on_output(signature: Signature, names: int) -> str | None:
    """Return advice on an output of a YOLO that does not fit the number of names; None for any other network.

    Without metadata, the task is guessed from the number of values per cell.
    """
    output = _table_output(signature)
    lengths = output.shape or () if output is not None else ()
    if len(lengths) != 3 or not _takes_pictures(signature):
        return None
    size = size_of(signature)
    if _boxes_per_cell(size, lengths[2]) == 1 and lengths[1] is not None:
        numbers = lengths[1]
        may_be = [f"of a detector with {numbers - 4} classes"] if numbers > 4 else []
        more = numbers - 4 - names
        if more == 1:
            may_be.append("of turned boxes (oriented bounding boxes)")
        if more == _MASK_NUMBERS:
            may_be.append("of outlines (segmentation)")
        if more > 0 and more % 3 == 0:
            may_be.append(f"of {more // 3} key points an object (pose)")
    elif _boxes_per_cell(size, lengths[1]) is not None and lengths[2] is not None:
        numbers = lengths[2]
        may_be = [f"of a detector with {numbers - 5} classes"] if numbers > 5 else []
        if numbers - 4 == names:
            return (
                f"it has {numbers} numbers a cell, {' or '.join([*may_be, f'with {names} classes without objectness'])}"
                ": write network.description with family: described where it is the latter, else correct the names"
            )
    elif lengths[1] is not None and lengths[1] <= _MOST_ROWS and lengths[2] is not None and lengths[2] > _ROW:
        return (
            f"its rows have {lengths[2]} numbers; expected {_ROW} (box, score, class): those of turned boxes have 7, "
            "of outlines (segmentation) and key points (pose) more: export a network that was trained to detect, or "
            "write network.description with family: described"
        )
    else:
        return None
    if not may_be:
        return None
    return (
        f"it has {numbers} numbers a cell, {' or '.join(may_be)}, and there are {names} names: correct the names, or "
        "export a network that was trained to detect"
    )


def _table_output(signature: Signature) -> Tensor | None:
    """Return the only output with boxes; None if there is no such one. Old exporters of YOLOv5 also add its parts.

    Outputs of another rank are ignored if the metadata names detection as the task.
    """
    if signature.metadata.get("task") == "detect":
        found = [output for output in signature.outputs if output.shape is not None and len(output.shape) == 3]
        return found[0] if len(found) == 1 else None
    tables = [output for output in signature.outputs if output.shape is None or len(output.shape) == 3]
    others = [output for output in signature.outputs if output.shape is not None and len(output.shape) != 5]
    return tables[0] if len(tables) == 1 and len(others) <= 1 and tables[0] is signature.outputs[0] else None


def _takes_pictures(signature: Signature) -> bool:
    shape = signature.inputs[0].shape if len(signature.inputs) == 1 else None
    return shape is not None and len(shape) == 4 and shape[1] in (3, None)


def _is_rows(output: Tensor, signature: Signature) -> bool:
    """Return whether the output has rows of six numbers, and fewer than there are cells."""
    lengths = output.shape or ()
    if len(lengths) != 3 or lengths[2] != _ROW:
        return False
    size = size_of(signature)
    if lengths[1] is not None and size is not None and _boxes_per_cell(size, lengths[1]) is not None:
        return False
    if lengths[1] is None:
        return "NonMaxSuppression" in signature.operators or "task" in signature.metadata
    return lengths[1] <= _MOST_ROWS


def _is_rtdetr(signature: Signature) -> bool:
    """Return whether the metadata names RT-DETR: in `head`, or in `description` of older versions."""
    texts = [str(signature.metadata.get(key, "")) for key in ("head", "description")]
    return any(re.search("rt-?detr", text, re.IGNORECASE) for text in texts)


def _has_objectness(output: Tensor, hints: NetworkHints) -> bool:
    lengths = output.shape or ()
    return len(lengths) == 3 and lengths[2] == 5 + hints.names and lengths[1] != 5 + hints.names


def _boxes_per_cell(size: Size | None, boxes: int | None) -> int | None:
    """Return the number of boxes per cell; None if the number of boxes does not fit the grids of a YOLO."""
    if size is None or boxes is None:
        return None
    for strides in STRIDES:
        cells = sum((-(-size.width // stride)) * (-(-size.height // stride)) for stride in strides)
        for each in (1, _ANCHORS_PER_CELL):
            if boxes == each * cells:
                return each
    return None


def _one_box_per_cell(signature: Signature, hints: NetworkHints) -> Tensor | None:
    """Return the output of a YOLO without metadata, with objectness and one box per cell; None for any other."""
    output = _table_output(signature)
    if output is None or not _has_objectness(output, hints) or not _takes_pictures(signature):
        return None
    size, anchors = size_of(signature), output.shape[1] if output.shape else None
    if signature.metadata.keys() & {"task", "stride"} or (size and anchors and _boxes_per_cell(size, anchors) != 1):
        return None
    return output


def _largest_stride(signature: Signature) -> int:
    stride = literal(signature.metadata.get("stride"))
    numbers = stride if isinstance(stride, list | tuple) else [stride]
    whole = [int(number) for number in numbers if isinstance(number, int | float) and 1 <= number <= 1024]
    return max(whole, default=32)
