"""What was done to the network before it is used: converted to ONNX, or quantized to int8."""

from dataclasses import dataclass
from typing import Annotated, Any

from scripts.lib.record_files import Key
from scripts.lib.records.keys import Count, MediaId, Sha256

Sandbox = Annotated[str, Key("What kept the job in.", schema={"enum": ["bubblewrap", "none"]})]
Nms = Annotated[dict[str, Any], Key("Settings of the suppression.")]
Versions = Annotated[dict[str, str], Key("Of the packages, by name.")]
_DIFFERENCE = {"type": "number", "minimum": 0}


@dataclass(frozen=True, kw_only=True)
class ConversionCheck:
    """How far the outputs of the converted network are from TensorFlow's, on made pictures."""

    pictures: Count
    width: Annotated[int, Key("Pixels of the network's input.", part="count")]
    height: Count
    boxes: Annotated[int, Key("Candidates that were compared.", part="count")]
    highest_score: float
    box_difference: Annotated[float, Key("The largest, in pixels.", schema=_DIFFERENCE)]
    score_difference: Annotated[float, Key("The largest.", schema=_DIFFERENCE)]
    box_tolerance: Annotated[float, Key("The largest difference that is accepted.", schema=_DIFFERENCE)]
    score_tolerance: Annotated[float, Key(schema=_DIFFERENCE)]


@dataclass(frozen=True, kw_only=True)
class ConversionRecord:
    """How the network was converted to ONNX."""

    from_sha256: Sha256
    onnx_sha256: Sha256
    layout: Annotated[str, Key("How the network names its tensors; see docs/networks.md.")]
    nms: Nms
    opset: Count
    sandbox: Sandbox
    versions: Versions
    checked: ConversionCheck


@dataclass(frozen=True, kw_only=True)
class CalibrationFrames:
    """The frames that the network was quantized and measured with."""

    of_each_media: Annotated[dict[str, int], Key("By its number (id).")]
    to_quantize: Count
    held_back: Annotated[int, Key("To measure the drift with.", part="count")]


@dataclass(frozen=True, kw_only=True)
class KeptBoxes:
    """The boxes above the threshold in the frames held back."""

    f32: Count
    int8: Count
    both: Annotated[int, Key("Of the same label, with an IoU of at least 0.5.", part="count")]


@dataclass(frozen=True, kw_only=True)
class ScoreDifference:
    """How far the scores of boxes that both give are apart; null without such a box."""

    mean: float | None
    largest: float | None


@dataclass(frozen=True, kw_only=True)
class Drift:
    """How far the boxes in int8 are from those in f32."""

    boxes: KeptBoxes
    drift: Annotated[float, Key("The share of the boxes that only one of them gives.", part="share")]
    score_difference: ScoreDifference


@dataclass(frozen=True, kw_only=True)
class QuantizationRecord:
    """How the network was quantized to int8, and how far its boxes are from those in f32."""

    media_ids: Annotated[list[MediaId], Key("Those whose frames were asked for.")]
    frames: CalibrationFrames
    threshold: Annotated[float, Key("The least score of a box.", part="share")]
    boxes: KeptBoxes
    drift: Annotated[float, Key("The share of the boxes that only one of them gives.", part="share")]
    score_difference: ScoreDifference
    max_drift: Annotated[float, Key("The largest drift that is accepted.", part="share")]
    from_sha256: Sha256
    graph_sha256: Sha256
    weights_sha256: Sha256
    nms: Nms
    sandbox: Sandbox
    versions: Versions
