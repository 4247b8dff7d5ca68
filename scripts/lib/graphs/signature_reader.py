"""Read the inputs, outputs and metadata of a network's file, without the program that runs it."""

from collections.abc import Iterable
from pathlib import Path
from typing import Any

from scripts.lib.errors import GraphError
from scripts.lib.graphs.class_count import classes_of_weights
from scripts.lib.graphs.file_names import ending
from scripts.lib.graphs.layouts import LAYOUTS
from scripts.lib.graphs.messages import read_graph_def, read_signature
from scripts.lib.graphs.openvino_file import read_openvino_file
from scripts.lib.graphs.pixel_steps import first_step
from scripts.lib.graphs.signature import Signature, Tensor

# Types of inputs and outputs by their numbers in ONNX and in TensorFlow.
_ONNX_KINDS = {1: "float32", 2: "uint8", 3: "int8", 6: "int32", 7: "int64", 9: "bool", 10: "float16", 11: "float64"}
_TENSORFLOW_KINDS = {1: "float32", 3: "int32", 4: "uint8", 9: "int64", 19: "float16"}
_LEAST_PATCH = 14  # pixels; the first convolution of a convolutional network has 7 or fewer
_PLACEHOLDERS = ("Placeholder", "PlaceholderWithDefault")
# Names of nodes by which a frozen graph is recognized, since its file does not mark outputs.
_TENSORFLOW_OUTPUTS = ("detection_boxes", "detection_scores", "detection_classes", "detection_masks")


def read_file(graph: Path, source: str | None = None) -> Signature:
    """Read the signature of a `.onnx`, `.pb` or `.xml` file; `source` is its name for errors.

    Raises:
        GraphError: the file cannot be read.
    """
    source = source or str(graph)
    try:
        if graph.suffix == ".onnx":
            return _of_onnx(graph.read_bytes(), source)
        if graph.suffix == ".pb":
            return _of_frozen_graph(graph.read_bytes(), source)
    except ValueError as error:
        raise GraphError(
            f"{source}: cannot read it as a network ({error}); expected a complete file: copy or export it again"
        ) from error
    if graph.suffix == ".xml":
        return read_openvino_file(graph.read_bytes(), source)
    raise GraphError(f"{source}: {ending(graph)}; expected .onnx, .pb or .xml")


def _of_onnx(content: bytes, source: str) -> Signature:
    """Return the signature of an ONNX file's content.

    Raises:
        ValueError: the content is not an ONNX file.
    """
    message = read_signature(content)
    weights = {constant.name: list(constant.dims) for constant in message.graph.initializer}
    inputs = tuple(_onnx_tensor(tensor) for tensor in message.graph.input if tensor.name not in weights)
    return Signature(
        source=source,
        inputs=inputs,
        outputs=tuple(_onnx_tensor(tensor) for tensor in message.graph.output),
        operators=frozenset(node.op_type for node in message.graph.node),
        metadata={entry.key: entry.value for entry in message.metadata_props},
        classes=classes_of_weights(weights),
        takes_patches=_takes_patches(weights.values()),
        pixel_step=first_step(message.graph, inputs[0].name) if inputs else None,
    )


def _takes_patches(weights: Iterable[list[int]]) -> bool | None:
    """Return whether the convolution of the picture has a kernel as large as a patch; None if there is no such one."""
    squares = [shape[2] for shape in weights if len(shape) == 4 and shape[1] == 3 and shape[2] == shape[3]]
    return max(squares) >= _LEAST_PATCH if squares else None


def _of_frozen_graph(content: bytes, source: str) -> Signature:
    """Return the signature of a frozen TensorFlow graph's content.

    Raises:
        ValueError: the content is not a GraphDef.
    """
    message = read_graph_def(content)
    names = {node.name for node in message.node}
    wanted = dict.fromkeys([*(name for layout in LAYOUTS for name in layout.outputs), *_TENSORFLOW_OUTPUTS])
    inputs = [node for node in message.node if node.op in _PLACEHOLDERS]
    return Signature(
        source=source,
        inputs=tuple(Tensor(node.name, _placeholder_kind(node), None) for node in inputs),
        outputs=tuple(Tensor(name, "", None) for name in wanted if name.partition(":")[0] in names),
        operators=frozenset(node.op for node in message.node),
        is_frozen=True,
        classes=classes_of_weights({node.name: _shape_of_constant(node) for node in message.node}),
    )


def _onnx_tensor(message: Any) -> Tensor:
    tensor = message.type.tensor_type
    shape = None
    if tensor.HasField("shape"):
        shape = tuple(length.dim_value if length.dim_value > 0 else None for length in tensor.shape.dim)
    return Tensor(message.name, _ONNX_KINDS.get(tensor.elem_type, ""), shape)


def _shape_of_constant(node: Any) -> list[int]:
    """Return the shape of a constant; empty for any other node."""
    tensors = [attr.value.tensor for attr in node.attr if attr.key == "value"]
    return [length.size for length in tensors[0].shape.dim] if tensors else []


def _placeholder_kind(node: Any) -> str:
    kinds = [attr.value.type for attr in node.attr if attr.key == "dtype"]
    return _TENSORFLOW_KINDS.get(kinds[0], "") if kinds else ""
