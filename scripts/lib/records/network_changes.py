"""The changes of the network before it is used: conversion to ONNX, or quantization to int8."""

from dataclasses import dataclass
from typing import Annotated, Any

from scripts.lib.records.keys import Count, MediaId, Sha256
from scripts.lib.records.record_files import Key

Sandbox = Annotated[str, Key("The sandbox of the job.", schema={"enum": ["bubblewrap", "none"]})]
Nms = Annotated[dict[str, Any], Key("Settings of the suppression.")]
Versions = Annotated[dict[str, str], Key("Versions of the packages, by name.")]
_DIFFERENCE = {"type": "number", "minimum": 0}


@dataclass(frozen=True, kw_only=True)
class ConversionCheck:
    """How much the outputs of the converted network differ from TensorFlow's, on generated pictures."""

    pictures: Count
    width: Annotated[int, Key("Pixels of the network's input.", part="count")]
    height: Count
    boxes: Annotated[int, Key("Number of candidates that were compared.", part="count")]
    highest_score: float
    box_difference: Annotated[float, Key("The largest difference, in pixels.", schema=_DIFFERENCE)]
    score_difference: Annotated[float, Key("The largest difference.", schema=_DIFFERENCE)]
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

    of_each_media: Annotated[dict[str, int], Key("By the number (id) of the media.")]
    to_quantize: Count
    held_back: Annotated[int, Key("Number of frames to measure the drift.", part="count")]


@dataclass(frozen=True, kw_only=True)
class KeptBoxes:
    """The boxes above the threshold in the frames that measure the drift."""

    f32: Count
    int8: Count
    both: Annotated[int, Key("Boxes of both with the same label and an IoU of at least 0.5.", part="count")]


@dataclass(frozen=True, kw_only=True)
class ScoreDifference:
    """How much the scores of boxes that are found in both differ; null without such a box."""

    mean: float | None
    largest: float | None


@dataclass(frozen=True, kw_only=True)
class Drift:
    """How much the boxes in int8 differ from those in f32."""

    boxes: KeptBoxes
    drift: Annotated[float, Key("The share of the boxes that only one of them has.", part="share")]
    score_difference: ScoreDifference


@dataclass(frozen=True, kw_only=True)
class QuantizationRecord:
    """How the network was quantized to int8, and how much its boxes differ from those in f32."""

    media_ids: Annotated[list[MediaId], Key("The media whose frames were requested.")]
    frames: CalibrationFrames
    threshold: Annotated[float, Key("The least score of a box.", part="share")]
    boxes: KeptBoxes
    drift: Annotated[float, Key("The share of the boxes that only one of them has.", part="share")]
    score_difference: ScoreDifference
    max_drift: Annotated[float, Key("The largest drift that is accepted.", part="share")]
    from_sha256: Sha256
    graph_sha256: Sha256
    weights_sha256: Sha256
    nms: Nms
    sandbox: Sandbox
    versions: Versions
