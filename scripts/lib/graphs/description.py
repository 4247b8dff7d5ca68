"""The description of a network: how a frame becomes its input, and how its outputs become boxes.

Each family in families.py is a description; `network.description` is one for any other network. Descriptions are stored
as JSON objects, in resources/network/provenance.json and in the labels of data images.
"""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from typing import Any, Literal

from scripts.lib.boxes import Size
from scripts.lib.graphs import nms_settings
from scripts.lib.suppression import Nms

# The family of a network with a description of its own.
DESCRIBED = "described"
# Largest label or column of a name; the decoder has a number for each label up to the largest.
LARGEST_LABEL = 10_000_000
# An output of the graph: its index, or its name.
Output = int | str
# A column in a row of a table; the box has four numbers, the others have one each.
Column = Literal["box", "score", "label", "picture"]
# Names in `inputs` that stand for the sides of the network's input.
SIDES = ("width", "height")


@dataclass(frozen=True)
class Resize:
    """How a frame is resized to the network's input.

    Attributes:
        kind: `stretch` both sides; `pad` at the right or the bottom, then scale, as OpenEM does; `letterbox`: scale,
            then pad.
        place: position of the frame in a letterbox.
        colour: value of the padding in all channels.
        filter: `linear` interpolates between four pixels, as OpenCV; `antialiased` averages all pixels that a new pixel
            covers, as Pillow.
        values: `bytes`: scaled pixels are rounded; `floats`: they are not.
        rounding: how a letterbox rounds the scaled sides.
        one_gain: whether boxes are mapped back with the same factor for both sides, from before rounding, as YOLOv5 and
            YOLOX do; otherwise with a factor for each side.
    """

    kind: Literal["stretch", "pad", "letterbox"] = "pad"
    place: Literal["centre", "top_left"] = "centre"
    colour: int = 0
    filter: Literal["linear", "antialiased"] = "linear"
    values: Literal["bytes", "floats"] = "bytes"
    rounding: Literal["nearest", "down"] = "nearest"
    one_gain: bool = False

    @property
    def dtype(self) -> str:
        """NumPy's name of the type of the pixels in a batch."""
        return "float32" if self.values == "floats" else "uint8"

    @property
    def contradiction(self) -> str | None:
        """The error in the combination of values; None if there is none."""
        if self.kind == "pad" and self.values == "floats":
            return "resize.values is floats with the kind pad; expected the kind stretch or letterbox with it"
        return None


@dataclass(frozen=True)
class PixelFormat:
    """The pixel format of the network's input: (byte / divisor - mean) / deviation.

    Attributes:
        order: order of the colours.
        divisor: divisor of the bytes.
        mean: mean of each channel, in this order.
        deviation: standard deviation of each channel, in this order.
    """

    order: Literal["rgb", "bgr"] = "rgb"
    divisor: float = 255.0
    mean: tuple[float, float, float] = (0.0, 0.0, 0.0)
    deviation: tuple[float, float, float] = (1.0, 1.0, 1.0)

    @property
    def are_bytes(self) -> bool:
        """Whether the input has the values of the bytes."""
        return self.divisor == 1 and set(self.mean) == {0} and set(self.deviation) == {1}


@dataclass(frozen=True)
class OutputNames:
    """The outputs of the boxes: a table with all numbers of a box, or separate outputs.

    Attributes:
        table: output (N, A, K), or (N, K, A) with `boxes_last`: four numbers of a box, then its scores; with `is_rows`
            the columns in `columns`.
        boxes: output (N, A, 4) or (N, 4, A); `boxes` and `scores` are set instead of `table`.
        scores: output (N, A, C), or (N, C, A) with `boxes_last`; (N, A) with `labels`.
        labels: output (N, A): each box has one score and one label, as after suppression in the network.
        is_rows: whether the rows of the table are box, score and label; with `labels` box and score.
        columns: order of the columns in a row, if it is different. `picture` is the index of the picture in the batch,
            negative in a row without a box; such rows have no batch axis.
        boxes_last: whether the boxes are on the last axis of the table, or of the scores.
        pictures: number of pictures in a batch, if each has separate outputs: the indices above are for the first
            picture, and the outputs of the others follow; None if the outputs have a batch axis.
    """

    table: Output | None = None
    boxes: Output | None = None
    scores: Output | None = None
    labels: Output | None = None
    is_rows: bool = False
    columns: tuple[Column, ...] = ()
    boxes_last: bool = False
    pictures: int | None = None

    @property
    def of_picture(self) -> list[Output]:
        """The outputs that are used, of the first picture if each has separate ones."""
        return [output for output in (self.table, self.boxes, self.scores, self.labels) if output is not None]

    @property
    def all(self) -> list[Output]:
        """The outputs that are used, of all pictures."""
        first = self.of_picture
        further = range(1, self.pictures or 1)
        return first + [
            output + picture * len(first) for picture in further for output in first if isinstance(output, int)
        ]

    @property
    def row(self) -> tuple[Column, ...]:
        """The columns of a row, in order."""
        return self.columns or (("box", "score", "label") if self.labels is None else ("box", "score"))

    @property
    def at_once(self) -> int | None:
        """The number of pictures that the outputs allow in a batch; None if they have a batch axis."""
        return self.pictures or (1 if "picture" in self.columns else None)

    @property
    def contradiction(self) -> str | None:
        """The message if the attributes contradict each other; None if they do not."""
        if (self.table is None) == (self.boxes is None or self.scores is None):
            return "outputs names neither or both of table, and boxes with scores; expected one of the two"
        wanted = {"box", "score"} | ({"label"} if self.labels is None else set())
        if self.columns and (not self.is_rows or {*self.columns} - {"picture"} != wanted or self._repeats):
            return (
                f"outputs.columns is {list(self.columns)}; expected {', '.join(sorted(wanted))}, each once, and "
                "picture where it has one, with is_rows: true"
            )
        if self.table is not None and self.labels is not None and not self.is_rows:
            return "outputs has a table and labels; expected is_rows: true with them"
        if self.pictures is not None and self.pictures < 1:
            return f"outputs.pictures is {self.pictures}; expected 1 or more, or null"
        if (self.pictures or 1) > 1 and not all(isinstance(output, int) for output in self.of_picture):
            return (
                f"outputs.pictures is {self.pictures}; with more than 1, give output indices (of the first picture), "
                "not names"
            )
        return None

    @property
    def _repeats(self) -> bool:
        return len(set(self.columns)) != len(self.columns)

    @property
    def are_final(self) -> bool:
        """Whether each box has one label."""
        return self.is_rows or self.labels is not None


@dataclass(frozen=True)
class BoxFormat:
    """The meaning of the four numbers of a box.

    Attributes:
        corners: two corners, `xyxy` or `yxyx`; or a point and the size, `xywh` with the top left corner, `cxcywh` with
            the centre.
        unit: pixels of the input, fractions of its sides, or `grid`: offsets within a cell, and logarithms of sizes,
            both in cells.
        strides: sides of the cells of a `grid` in pixels, in the order of the boxes.
    """

    corners: Literal["xyxy", "yxyx", "xywh", "cxcywh"] = "xyxy"
    unit: Literal["pixels", "fraction", "grid"] = "pixels"
    strides: tuple[int, ...] = ()


@dataclass(frozen=True)
class Scores:
    """The meaning of the scores.

    Attributes:
        function: function that computes scores from the network's values.
        objectness: whether the first value is the objectness, by which each score is multiplied; with a function, the
            sigmoid of the value.
        background: column of the background, which is left out.
    """

    function: Literal["none", "sigmoid", "softmax"] = "none"
    objectness: bool = False
    background: Literal["none", "first", "last"] = "none"


@dataclass(frozen=True)
class Description:
    """How to prepare the input and decode the outputs of a network.

    Attributes:
        family: name of the family in families.FAMILIES, or DESCRIBED.
        outputs: the outputs of the boxes.
        resize: how a frame is resized to the input.
        pixels: the pixel format of the input.
        boxes: the meaning of the numbers of a box.
        scores: the meaning of the scores.
        suppression: settings of the suppression of overlapping boxes; None if the network suppresses them.
        first_label: label, or column, of the first name; lower ones are the background.
        labels: label, or column, of each name; None if they are consecutive from `first_label` on.
        width: width of the network's input in pixels; None if the file does not fix it.
        height: height of the network's input in pixels; None if the file does not fix it.
        multiple: number of which both sides must be multiples.
        inputs: values of the graph's other inputs for each picture, by name: numbers, or `width` and `height` of the
            network's input.
    """

    family: str
    outputs: OutputNames
    resize: Resize = Resize()
    pixels: PixelFormat = PixelFormat()
    boxes: BoxFormat = BoxFormat()
    scores: Scores = Scores()
    suppression: Nms | None = None
    first_label: int = 0
    labels: tuple[int, ...] | None = None
    width: int | None = None
    height: int | None = None
    multiple: int = 1
    inputs: Mapping[str, tuple[float | str, ...]] = field(default_factory=dict)

    @property
    def size(self) -> Size | None:
        """The size of the network's input; None if it is not known."""
        return None if self.width is None or self.height is None else Size(self.width, self.height)

    def with_size(self, size: Size | None) -> "Description":
        """Return the description with another size."""
        return replace(self, width=size.width if size else None, height=size.height if size else None)

    @property
    def with_bytes(self) -> "Description":
        """The same description, with scaled pixels rounded to bytes."""
        return replace(self, resize=replace(self.resize, values="bytes"))

    def to_values(self) -> dict[str, Any]:
        """Return the description as a JSON object."""
        values = asdict(self)
        values["suppression"] = None if self.suppression is None else nms_settings.to_values(self.suppression)
        listed: dict[str, Any] = _listed(values)
        return listed


def _listed(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _listed(inner) for key, inner in value.items()}
    return [_listed(inner) for inner in value] if isinstance(value, tuple | list) else value
