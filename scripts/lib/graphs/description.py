"""The description of a detector: how a picture becomes its input, and how its outputs become boxes.

Every family of networks (families.py) is a description, and `network.description` writes one for any other. It
travels as a JSON object, in resources/network/provenance.json and in the labels of data images.
"""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from typing import Any, Literal

from scripts.lib.boxes import Size
from scripts.lib.errors import GraphError, SettingsError
from scripts.lib.graphs.checked_values import made
from scripts.lib.suppression import Nms

# An output of the graph: its place among them, or its name.
Output = int | str
# What stands in a row of a table: the box has four numbers, the others one each.
Column = Literal["box", "score", "label", "picture"]
# The sides of the network's input, where another input is given them.
SIDES = ("width", "height")


@dataclass(frozen=True)
class Resize:
    """How a frame becomes a picture of the network's size.

    Attributes:
        kind: `stretch` both sides; `pad` at the right or the bottom, then scale, as OpenEM does; `letterbox`: scale,
            then pad.
        place: where a letterbox puts the frame.
        colour: of the padding, the same for every channel.
        filter: `linear` looks at four pixels, as OpenCV does; `antialiased` at all that a new pixel covers, as Pillow.
        values: `bytes`: scaled pixels are rounded; `floats`: they are not.
        rounding: what a letterbox does to the scaled sides.
        one_gain: boxes are mapped back by the factor before rounding, the same for both sides, as YOLOv5 and YOLOX do;
            else by each side's own.
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
        """What is wrong with them together; None if nothing is."""
        if self.kind == "pad" and self.values == "floats":
            return "resize.values is floats with the kind pad; expected the kind stretch or letterbox with it"
        return None


@dataclass(frozen=True)
class PixelFormat:
    """The pixels of the network's input: (byte / divisor - mean) / deviation.

    Attributes:
        order: of the colours.
        divisor: what bytes are divided by.
        mean: of each channel, in this order.
        deviation: of each channel, in this order.
    """

    order: Literal["rgb", "bgr"] = "rgb"
    divisor: float = 255.0
    mean: tuple[float, float, float] = (0.0, 0.0, 0.0)
    deviation: tuple[float, float, float] = (1.0, 1.0, 1.0)

    @property
    def are_bytes(self) -> bool:
        """Whether the bytes go in as they are."""
        return self.divisor == 1 and set(self.mean) == {0} and set(self.deviation) == {1}


@dataclass(frozen=True)
class OutputNames:
    """Where the boxes are: all numbers of a box in one table, or in an output for each kind.

    Attributes:
        table: (N, A, K), or (N, K, A) with `boxes_last`: four numbers of the box, then its scores; with `is_rows`
            what `columns` says.
        boxes: (N, A, 4) or (N, 4, A); this and `scores` stand instead of `table`.
        scores: (N, A, C), or (N, C, A) with `boxes_last`; with `labels` (N, A).
        labels: (N, A): each box has one score and this label, as after the network's own suppression.
        is_rows: the table holds rows of box, score and label; with `labels` of box and score.
        columns: the order of these, where it is another. In `picture` stands the place of the row's picture in the
            batch, or a negative number in a row of nothing; such rows have no axis for the batch.
        boxes_last: the last axis of the table, or of the scores, counts boxes.
        pictures: how many pictures go in at once, each with outputs of its own, one picture's after the other's (these
            are the first picture's places); None if the outputs have an axis for the batch.
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
        """Those that are used, of the first picture where each has its own."""
        return [one for one in (self.table, self.boxes, self.scores, self.labels) if one is not None]

    @property
    def all(self) -> list[Output]:
        """Those that are used, of each picture."""
        first = self.of_picture
        further = range(1, self.pictures or 1)
        return first + [one + at * len(first) for at in further for one in first if isinstance(one, int)]

    @property
    def row(self) -> tuple[Column, ...]:
        """The order of what stands in a row."""
        return self.columns or (("box", "score", "label") if self.labels is None else ("box", "score"))

    @property
    def at_once(self) -> int | None:
        """How many pictures can go in at once; None if the outputs have an axis for the batch."""
        return self.pictures or (1 if "picture" in self.columns else None)

    @property
    def contradiction(self) -> str | None:
        """What is wrong with them together; None if nothing is."""
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
        if (self.pictures or 1) > 1 and not all(isinstance(one, int) for one in self.of_picture):
            return (
                f"outputs.pictures is {self.pictures}, and outputs has names; expected places, of the first picture's"
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
    """What the four numbers of a box mean.

    Attributes:
        corners: `xyxy`, `yxyx`; `xywh` from the top left corner, `cxcywh` from the centre.
        unit: pixels of the input, or fractions of its sides, or `grid`: offsets within a cell, and sizes to be
            exponentiated, both in cells.
        strides: for `grid`, the sides of the cells in pixels, in the order of the boxes.
    """

    corners: Literal["xyxy", "yxyx", "xywh", "cxcywh"] = "xyxy"
    unit: Literal["pixels", "fraction", "grid"] = "pixels"
    strides: tuple[int, ...] = ()


@dataclass(frozen=True)
class Scores:
    """What the scores mean.

    Attributes:
        function: what makes scores of the network's numbers.
        objectness: the first number says whether there is anything; each score is multiplied by it.
        background: the column of what is no object, which is left out.
    """

    function: Literal["none", "sigmoid", "softmax"] = "none"
    objectness: bool = False
    background: Literal["none", "first", "last"] = "none"


@dataclass(frozen=True)
class Description:
    """How to prepare the input and decode the outputs of a network.

    Attributes:
        family: a name of families.FAMILIES.
        outputs: where the boxes are.
        resize: how a frame becomes the input.
        pixels: what numbers go in.
        boxes: what the numbers of a box mean.
        scores: what the scores mean.
        suppression: of boxes that overlap; None if the network has done it.
        first_label: the label, or column, of the first name; those below it are the background.
        labels: the label, or column, of each name; None if they count on from the first.
        width: of the network's input in pixels; None if the file takes any and does not say.
        height: of the network's input in pixels.
        multiple: what both sides must be a multiple of.
        inputs: what goes into the graph's other inputs for each picture, by their names: numbers, or `width` and
            `height` of the network's input.
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
        """The network's own size, where it is known."""
        return None if self.width is None or self.height is None else Size(self.width, self.height)

    def with_size(self, size: Size | None) -> "Description":
        """Return it with another size."""
        return replace(self, width=size.width if size else None, height=size.height if size else None)

    @property
    def with_bytes(self) -> "Description":
        """The same, where scaled pixels are rounded to bytes."""
        return replace(self, resize=replace(self.resize, values="bytes"))

    def to_values(self) -> dict[str, Any]:
        """Return it as JSON takes it."""
        from scripts.lib.engines import nms_settings

        values = asdict(self)
        values["suppression"] = None if self.suppression is None else nms_settings.to_values(self.suppression)
        listed: dict[str, Any] = _listed(values)
        return listed


def from_values(values: Mapping[str, Any], where: str = "network.description") -> Description:
    """Return the description that a JSON object holds; what is absent has its default.

    Raises:
        SettingsError: naming the key, the value and what is expected.
    """
    from scripts.lib.engines import nms_settings

    left = dict(values)
    suppression = left.pop("suppression", None)
    try:
        nms = None if suppression is None else nms_settings.from_values(suppression)
    except (KeyError, TypeError, ValueError) as error:
        raise SettingsError(
            f"{where}.suppression is {suppression!r}; expected null, or iou, max_detections, per_class and min_score"
        ) from error
    inputs = _other_inputs(left.pop("inputs", {}), where)
    found: Description = made(Description, {"family": "described", **left}, where)
    described = replace(found, suppression=nms, inputs=inputs)
    if problem := _contradiction(described):
        raise SettingsError(f"{where}: {problem}")
    return described


def input_size(
    asked: tuple[int | None, int | None], description: Description | None, graph: str, own: Size | None = None
) -> Size:
    """Return the size of the network's input, from the settings and the file.

    Args:
        asked: detect.img_max_side and detect.img_min_side.
        description: the description of its family; None for a network that has an engine of its own.
        graph: its name in errors.
        own: the size where the description has none; None if it is not known.

    Raises:
        SettingsError: neither says it, or they contradict each other.
        GraphError: the size is not one that the network takes.
    """
    width, height = asked
    own = (description.size if description else None) or own
    if width is None or height is None:
        if own is None:
            raise SettingsError(
                f"{graph}: takes pictures of any size, and does not say which it was trained at; set "
                "detect.img_max_side and detect.img_min_side to the width and height of its input"
            )
        return own
    multiple = description.multiple if description else 1
    if width % multiple or height % multiple:
        fitting = " x ".join(str(-(-side // multiple) * multiple) for side in (width, height))
        raise GraphError(
            f"{graph}: takes sides that are multiples of {multiple}; detect.img_max_side and img_min_side are {width} "
            f"and {height}: set them to {fitting}"
        )
    return Size(width, height)


def _contradiction(described: Description) -> str | None:
    outputs, boxes = described.outputs, described.boxes
    if (problem := outputs.contradiction or described.resize.contradiction) is not None:
        return problem
    if outputs.are_final and (described.scores.objectness or described.scores.background != "none"):
        return "outputs has labels, or rows, and scores has objectness or a background; expected one of the two"
    if (boxes.unit == "grid") != bool(boxes.strides):
        return f"boxes.unit is {boxes.unit} with strides {list(boxes.strides)}; expected strides with grid alone"
    if described.pixels.divisor <= 0 or min(described.pixels.deviation) <= 0:
        return "pixels.divisor and pixels.deviation hold 0 or less; expected numbers above 0"
    if any(stride < 1 for stride in boxes.strides) or described.multiple < 1:
        return "boxes.strides or multiple holds less than 1; expected whole numbers from 1 on"
    return None


def _other_inputs(values: Any, where: str) -> dict[str, tuple[float | str, ...]]:
    expected = f"a name of an input, and a list of numbers, {' or '.join(SIDES)}"
    if not isinstance(values, Mapping):
        raise SettingsError(f"{where}.inputs is {values!r}; expected {expected}")
    for name, listed in values.items():
        sound = isinstance(listed, list | tuple) and listed
        if not sound or not all(one in SIDES if isinstance(one, str) else _is_number(one) for one in listed):
            raise SettingsError(f"{where}.inputs.{name} is {listed!r}; expected {expected}")
    return {str(name): tuple(listed) for name, listed in values.items()}


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _listed(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _listed(one) for key, one in value.items()}
    return [_listed(one) for one in value] if isinstance(value, tuple | list) else value
