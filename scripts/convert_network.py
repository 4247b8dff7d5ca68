"""Convert a frozen TensorFlow graph to ONNX, cut before its suppression, and compare the outputs of both."""

import logging
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from scripts.lib.boxes import Floats, Pixels, Size
from scripts.lib.errors import GraphError
from scripts.lib.files import replacing, sha256
from scripts.lib.graphs import nms_settings
from scripts.lib.graphs.layouts import Layout
from scripts.lib.graphs.operators import check_frozen_graph
from scripts.lib.preprocessing.preprocess import subtract_mean
from scripts.lib.records.network_changes import ConversionCheck, ConversionRecord
from scripts.lib.records.record_files import write_record
from scripts.lib.workflow.jobs import job, sandbox
from scripts.lib.workflow.processes import deadline

_log = logging.getLogger(__name__)

OPSET = 17
PICTURES = 4
# The largest accepted differences from TensorFlow, for any anchor. Measured: 0.0006 pixels, 0.000005.
BOX_TOLERANCE = 0.05
SCORE_TOLERANCE = 1e-3


def convert_network(
    *,
    graph: Path,
    onnx: Path,
    record: Path,
    img_max_side: int,
    img_min_side: int,
    threads: int,
) -> None:
    """Write graph.pb as ONNX without its suppression, whose settings are stored in the metadata.

    All anchors are compared on generated pictures, so that a network can be converted before there are media.

    Args:
        graph: the frozen graph.
        onnx: the file to write.
        record: the JSON record to write, with the differences from the original.
        img_max_side: width of the network's input in pixels.
        img_min_side: height of the network's input in pixels.
        threads: number of CPU threads.

    Raises:
        GraphError: the graph has operators that do more than compute, its layout is not known, or the converted
            network computes other boxes.
    """
    from scripts.lib.engines.openvino.graph import cut, read_graph, read_nms

    size = Size(img_max_side, img_min_side)
    content = graph.read_bytes()
    check_frozen_graph(content, str(graph))  # before TensorFlow, whose operators may do anything
    with deadline.watched(str(graph), "being read by OpenVINO"):
        model, layout = read_graph(graph)
    if not layout.nms:
        raise GraphError(f"{graph}: was cut before it was frozen; expected the whole graph as it was trained")
    classes = cut(model, layout, str(graph), 1, size).outputs[1].get_shape()[2]
    nms = read_nms(model, layout, classes, str(graph))
    del model
    definition = _cut_definition(content, layout)
    with deadline.watched(str(graph), "being converted by TensorFlow"):
        converted = _convert(definition, layout, nms_settings.to_text(nms))
    with replacing(onnx, "wb") as stream:
        stream.write(converted)
        stream.flush()
        with deadline.watched(str(graph), f"running on {PICTURES} pictures, in TensorFlow and converted"):
            checked = _compare(definition, layout, Path(stream.name), size, threads)
        _check(checked, graph)
    write_record(
        record,
        ConversionRecord(
            from_sha256=sha256(graph),
            onnx_sha256=sha256(onnx),
            layout=layout.name,
            nms=nms_settings.to_values(nms),
            opset=OPSET,
            sandbox=sandbox.present(),
            versions=_versions(),
            checked=checked,
        ),
    )
    _log.info("%s: %s", onnx, checked)


def generate_pictures(count: int, size: Size) -> Pixels:
    """Return (count, height, width, 3) pictures with shades, shapes and noise, the same each time."""
    rng = np.random.default_rng(0)
    pictures = np.empty((count, size.height, size.width, 3), np.uint8)
    for picture in pictures:
        coarse = rng.integers(0, 256, (4, 4, 3)).astype(np.uint8)
        picture[:] = cv2.resize(coarse, size, interpolation=cv2.INTER_CUBIC)
        for _ in range(12):
            middle = (int(rng.integers(size.width)), int(rng.integers(size.height)))
            axes = (int(rng.integers(4, size.width // 3)), int(rng.integers(4, size.height // 3)))
            colour = tuple(int(value) for value in rng.integers(0, 256, 3))
            cv2.ellipse(picture, middle, axes, float(rng.integers(180)), 0, 360, colour, -1)
        noise = rng.normal(0, 8, picture.shape)
        picture[:] = np.clip(picture + noise, 0, 255).astype(np.uint8)
    return pictures


def run_tensorflow(definition: Any, layout: Layout, batch: Pixels) -> tuple[Floats, Floats]:
    """Return boxes (N, A, 4) and scores (N, A, C) as TensorFlow computes them, picture by picture."""
    import tensorflow as tf

    with tf.Graph().as_default() as whole:
        tf.import_graph_def(definition, name="")
        with tf.compat.v1.Session(graph=whole) as session:
            found = [
                session.run([layout.boxes, layout.scores], {_input(definition): subtract_mean(picture[None])})
                for picture in batch
            ]
    boxes, scores = zip(*found, strict=True)
    return np.concatenate(boxes), np.concatenate(scores)


def _cut_definition(content: bytes, layout: Layout) -> Any:
    """Return the part of the graph that computes boxes and scores, so that nothing else is run."""
    import tensorflow as tf

    definition = tf.compat.v1.GraphDef()
    definition.ParseFromString(content)
    outputs = [tensor.partition(":")[0] for tensor in (layout.boxes, layout.scores)]
    return tf.compat.v1.graph_util.extract_sub_graph(definition, outputs)


def _input(definition: Any) -> str:
    """Return the name of the graph's only input."""
    return next(f"{node.name}:0" for node in definition.node if node.op == "Placeholder")


def _convert(definition: Any, layout: Layout, nms: str) -> bytes:
    """Return the content of an ONNX file with the graph from float pixels to boxes and scores."""
    import onnx
    import tf2onnx

    model, _ = tf2onnx.convert.from_graph_def(
        definition,
        input_names=[_input(definition)],
        output_names=[layout.boxes, layout.scores],
        opset=OPSET,
    )
    onnx.helper.set_model_props(model, {nms_settings.KEY: nms})
    onnx.checker.check_model(model)
    return bytes(model.SerializeToString())


def _compare(definition: Any, layout: Layout, converted: Path, size: Size, threads: int) -> ConversionCheck:
    """Return the differences between the converted graph and TensorFlow."""
    from scripts.lib.engines.onnxruntime.engine import OnnxRuntimeEngine

    batch = generate_pictures(PICTURES, size)
    boxes, scores = run_tensorflow(definition, layout, batch)
    with OnnxRuntimeEngine(converted, size=size, batch_size=PICTURES, threads=threads) as engine:
        found = engine.infer(batch)
    if found.boxes.shape != boxes.shape or found.scores.shape != scores.shape:
        raise GraphError(
            f"the converted graph gives {found.boxes.shape} boxes and {found.scores.shape} scores, TensorFlow "
            f"{boxes.shape} and {scores.shape}: this network cannot be converted; use detect.engine: openvino"
        )
    return ConversionCheck(
        pictures=PICTURES,
        width=size.width,
        height=size.height,
        boxes=int(boxes.shape[0] * boxes.shape[1]),
        highest_score=float(scores.max()),
        box_difference=float(np.abs(found.boxes - boxes).max()),
        score_difference=float(np.abs(found.scores - scores).max()),
        box_tolerance=BOX_TOLERANCE,
        score_tolerance=SCORE_TOLERANCE,
    )


def _check(checked: ConversionCheck, graph: Path) -> None:
    # With `not`, so that NaN fails too.
    if not (checked.box_difference <= BOX_TOLERANCE and checked.score_difference <= SCORE_TOLERANCE):
        raise GraphError(
            f"{graph}: converted to ONNX its boxes differ from TensorFlow's by {checked.box_difference:.4g} pixels "
            f"and its scores by {checked.score_difference:.4g}; expected at most {BOX_TOLERANCE} and "
            f"{SCORE_TOLERANCE}: use detect.engine: openvino, which reads the graph itself"
        )


def _versions() -> dict[str, str]:
    from importlib.metadata import version

    return {name: version(name) for name in ("tensorflow-cpu", "tf2onnx", "onnx", "onnxruntime")}


if __name__ == "__main__":
    job.run(convert_network, snakemake, needs="tensorflow", sandboxed=True)  # type: ignore[name-defined]
