"""The input of a described network, and the conversion of frames to it."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from scripts.lib import boxes
from scripts.lib.boxes import Size
from scripts.lib.errors import GraphError
from scripts.lib.graphs.description import Description, PixelFormat
from scripts.lib.graphs.signature import Signature, Tensor

COLOURS = 3
_FLOATS = ("float32", "float16")
_OTHER_KINDS = {"uint8": 2, "float16": 10}  # ONNX's numbers of the types; float32 is 1


class Operator(NamedTuple):
    """An ONNX operator in a chain.

    Attributes:
        kind: type of the operator.
        values: the constant second input; None if there is none.
        attributes: attributes of the operator.
    """

    kind: str
    values: npt.NDArray[Any] | None
    attributes: dict[str, Any]


@dataclass(frozen=True)
class Input:
    """The input of a network for pictures.

    Attributes:
        name: name of the input in the graph.
        kind: type of the input: float32, float16 or uint8.
        channels_last: whether the colours are the last axis; they are the first axis of a picture otherwise.
        batched: whether there is a batch axis.
        batch: number of pictures in a batch; None for any number.
        others: values of the graph's other inputs for each picture by name, (1, n) or (n,).
    """

    name: str
    kind: str
    channels_last: bool
    batched: bool
    batch: int | None
    others: Mapping[str, npt.NDArray[Any]] = field(default_factory=dict)

    def others_of(self, count: int) -> dict[str, npt.NDArray[Any]]:
        """Return the values of the other inputs for `count` pictures."""
        return {
            name: np.ascontiguousarray(np.repeat(values, count, axis=0)) if values.ndim == 2 else values
            for name, values in self.others.items()
        }

    def shape(self, count: int, size: Size) -> list[int]:
        """Return the shape of the input for `count` pictures."""
        sides = [size.height, size.width]
        picture = [*sides, COLOURS] if self.channels_last else [COLOURS, *sides]
        return [count, *picture] if self.batched else picture


def read_input(signature: Signature, description: Description, size: Size | None = None) -> Input:
    """Return a network's input for pictures, with the values of its other inputs.

    Args:
        signature: the signature of the graph.
        description: the network's description.
        size: the size of the pictures; None to skip the check of the size.

    Raises:
        GraphError: no input takes pictures of this size, or another input is not in the description.
    """
    others = _others(signature, description, size)
    signature = signature.without_inputs(description.inputs)
    found = ", ".join(map(str, signature.inputs)) or "none"
    if len(signature.inputs) != 1 or signature.inputs[0].kind not in (*_FLOATS, "uint8"):
        raise GraphError(
            f"{signature.source}: its inputs are {found}; expected one, of float32, float16 or uint8: a picture. "
            "Export it without others, or say in network.description, under inputs, what goes into them"
        )
    one = signature.inputs[0]
    shape = one.shape or (None, None, None, COLOURS)
    if len(shape) not in (3, 4):
        raise _misfit(one, signature.source, size)
    picture, batched = list(shape[-3:]), len(shape) == 4
    channels_last = picture[2] == COLOURS and picture[0] != COLOURS
    sides, colours = (picture[:2], picture[2]) if channels_last else (picture[1:], picture[0])
    fits = size is None or all(side in (None, wanted) for side, wanted in zip(sides, size[::-1], strict=True))
    if colours not in (None, COLOURS) or not fits:
        raise _misfit(one, signature.source, size)
    if one.kind == "uint8" and not description.pixels.are_bytes:
        raise GraphError(
            f"{signature.source}: takes bytes; the family {description.family} divides pixels by "
            f"{description.pixels.divisor:g}, less {list(description.pixels.mean)}: correct network.family, or pixels "
            "in network.description"
        )
    if one.kind == "uint8" and description.resize.values == "floats":
        raise GraphError(f"{signature.source}: takes bytes, and resize.values is floats; expected bytes: correct it")
    # If each picture has separate outputs, the number of pictures is fixed even if the input's length is not.
    batch = description.outputs.at_once or shape[0] or None
    return Input(one.name, one.kind, channels_last, batched, batch if batched else 1, others)


def operators(pixels: PixelFormat, taken: Input, size: Size, count: int) -> list[Operator]:
    """Return ONNX operators that make of frames, (n, H, W, 3) BGR of bytes or floats, what `numbers` makes of them.

    Args:
        pixels: the pixel format of the network.
        taken: the network's input.
        size: the size of the network's input.
        count: number of pictures in a batch.
    """
    steps = [Operator("Cast", None, {"to": 1})]  # to float32; TensorRT needs this cast as the first operator on bytes
    if pixels.order == "rgb":
        steps.append(Operator("Gather", np.array([2, 1, 0]), {"axis": 3}))
    for kind, values, none in (
        ("Div", [pixels.divisor] * COLOURS, 1), ("Sub", pixels.mean, 0), ("Div", pixels.deviation, 1),
    ):  # fmt: skip
        if set(values) != {none}:
            steps.append(Operator(kind, np.array(values, np.float32), {}))
    if not taken.channels_last:
        steps.append(Operator("Transpose", None, {"perm": [0, 3, 1, 2]}))
    if not taken.batched:
        steps.append(Operator("Reshape", np.array(taken.shape(count, size)), {}))
    if taken.kind in _OTHER_KINDS:
        steps.append(Operator("Cast", None, {"to": _OTHER_KINDS[taken.kind]}))
    return steps


def of_bytes(description: Description) -> Description:
    """Return the description of the network with an input of bytes, and only the used outputs, in order."""
    outputs = description.outputs
    kinds = [kind for kind in ("table", "boxes", "scores", "labels") if getattr(outputs, kind) is not None]
    places: dict[str, Any] = {kind: index for index, kind in enumerate(kinds)}
    return replace(
        description.with_bytes, outputs=replace(outputs, **places), pixels=PixelFormat("bgr", 1.0), inputs={},
    )  # fmt: skip


def size_of_input(signature: Signature) -> Size | None:
    """Return the size of a graph's pictures; None if it is not fixed, or if there are several inputs."""
    if len(signature.inputs) != 1:
        return None
    shape = signature.inputs[0].shape
    if shape is None or len(shape) not in (3, 4):
        return None
    picture = shape[-3:]
    height, width = picture[:2] if picture[2] == COLOURS and picture[0] != COLOURS else picture[1:]
    return None if height is None or width is None else Size(width, height)


def numbers(batch: boxes.Pixels, pixels: PixelFormat, taken: Input) -> npt.NDArray[Any]:
    """Return the values of the network's input for some pictures, for engines that cannot compute it in the graph.

    Args:
        batch: (n, H, W, 3) BGR, bytes or floats.
        pixels: the pixel format of the network.
        taken: the network's input.
    """
    order = [2, 1, 0] if pixels.order == "rgb" else [0, 1, 2]
    if taken.kind == "uint8":
        whole = batch[..., order]
        found = whole if taken.channels_last else whole.transpose(0, 3, 1, 2)
        return np.ascontiguousarray(found if taken.batched else found[0])
    planes = np.empty((len(batch), COLOURS, *batch.shape[1:3]), np.float32)
    for at, channel in enumerate(order):
        # The same steps as in the exporters' predictors, since one different bit can move boxes by a pixel in half
        # precision.
        plane = planes[:, at]
        np.divide(batch[..., channel], np.float32(pixels.divisor), out=plane)
        if pixels.mean[at]:
            plane -= np.float32(pixels.mean[at])
        if pixels.deviation[at] != 1:
            plane /= np.float32(pixels.deviation[at])
    found = planes.transpose(0, 2, 3, 1) if taken.channels_last else planes
    found = found if taken.batched else found[0]
    return np.ascontiguousarray(found, np.float16 if taken.kind == "float16" else np.float32)


def _others(signature: Signature, description: Description, size: Size | None) -> dict[str, npt.NDArray[Any]]:
    """Return the values of the other inputs from the description; empty if `size` is None.

    Raises:
        GraphError: the graph has no such input.
    """
    known = {tensor.name: tensor for tensor in signature.inputs}
    found = {}
    for name, listed in description.inputs.items():
        one = known.get(name)
        length = None if one is None or not one.shape else one.shape[-1]
        if one is None or len(known) < 2 or not one.kind or length not in (None, len(listed)):
            raise GraphError(
                f"{signature.source}: its inputs are {', '.join(map(str, signature.inputs))}; expected one for "
                f"pictures, and {name}, which takes {len(listed)} numbers: correct inputs in network.description"
            )
        if size is None:
            continue
        values = np.array([getattr(size, number) if isinstance(number, str) else number for number in listed])
        found[name] = values.astype(one.kind).reshape((1, -1) if len(one.shape or ()) != 1 else -1)
    return found


def _misfit(one: Tensor, source: str, size: Size | None) -> GraphError:
    wanted = f" of {size.width} x {size.height} pixels" if size else ""
    return GraphError(
        f"{source}: its input is {one}; expected pictures{wanted}, (pictures, 3, height, width) or (pictures, height, "
        "width, 3): correct detect.img_max_side (its width) and img_min_side (its height), or leave both out where "
        "the file says its size"
    )
