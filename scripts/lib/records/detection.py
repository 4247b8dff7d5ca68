"""How the boxes of a media were found."""

from dataclasses import dataclass
from typing import Annotated, Any, TypedDict

from scripts.lib.errors import MediaState
from scripts.lib.records.keys import Count, Kind, MediaId, Name, Reason, Role
from scripts.lib.records.record_files import Key

# The schema of an engine's description: these keys, and others that differ from engine to engine.
_ENGINE = {
    "type": ["object", "null"],
    "required": ["name", "version", "device", "precision"],
    "properties": {key: {"type": "string"} for key in ("name", "version", "device", "precision")},
}
_DESCRIPTION = "How its input and outputs are used, if its family has a description."
_STAGES = {
    "type": "object",
    "propertyNames": {"enum": ["opening", "frames", "network", "boxes", "pictures"]},
    "additionalProperties": {"type": "number", "minimum": 0},
}


class FrameError(TypedDict):
    """One decoding error: its place in the file, and FFmpeg's message."""

    where: str
    what: str


@dataclass(frozen=True, kw_only=True)
class FrameCounts:
    """The frames of a media that was read."""

    decoded: Count
    declared: Annotated[int | None, Key("Number according to the container.")]
    missing: Annotated[
        int, Key("Coded pictures that were not decoded; the numbers of later frames include them.", part="count")
    ]
    lost: Annotated[
        list[list[int]] | None,
        Key(
            "The first and the last of each run of frame numbers whose pictures are missing; absent if there are none, "
            "if frames are numbered by their times, and in records of earlier versions.",
            schema={
                "type": "array",
                "items": {"type": "array", "items": {"type": "integer", "minimum": 0}, "minItems": 2, "maxItems": 2},
            },
            optional=True,
        ),
    ] = None
    skipped: Annotated[
        int, Key("Pictures before the first key frame, which cannot be decoded; they are not numbered.", part="count")
    ]
    missing_by_time: Annotated[
        int | None,
        Key(
            "Number of frames that would fill the gaps in time of a rate that is constant otherwise: dropped by a "
            "camera, or lost; the numbers of frames do not include them.",
            part="count",
            optional=True,
        ),
    ] = None
    first_gap: Annotated[str | None, Key("The frame before the first of these gaps.", optional=True)] = None
    used: Annotated[int, Key("Number of frames that went through the network.", part="count")]
    numbers: Annotated[
        int, Key("Number of Tator's frame numbers that the decoded frames cover; see docs/numbering.md.", part="count")
    ]
    read_to_end: bool
    errors: Annotated[
        list[FrameError],
        Key(
            "The first hundred decoding errors.",
            schema={
                "type": "array",
                "items": {
                    "type": "object",
                    "required": ["where", "what"],
                    "properties": {"where": {"type": "string"}, "what": {"type": "string"}},
                },
            },
        ),
    ]
    error_count: Count


@dataclass(frozen=True, kw_only=True)
class Numbering:
    """How the frames of a video are numbered; null for pictures and media without a file. See docs/numbering.md."""

    file: Annotated[Role, Key("The file that was read.", schema={"enum": ["archival", "streaming"]})]
    file_reason: Annotated[str | None, Key("Why this file was read.", schema={"type": "string"})]
    replaces_original: Annotated[bool, Key("Whether a copy was read because the original's pictures differ.")]
    rate: Annotated[float | None, Key("Frames a second.")]
    numbers: Annotated[int, Key("Number of frame numbers that the frames cover.", part="count")]
    repeated: Annotated[int, Key("Frames with several numbers.", part="count")]
    left_out: Annotated[int, Key("Frames without a number.", part="count")]
    turned: Annotated[
        int | None,
        Key("Clockwise rotation of frames, in degrees, to match Tator's copy; null if they are as players show them."),
    ]
    disagreements: Annotated[list[str], Key("Differences between Tator's record and the file, a sentence each.")]


@dataclass(frozen=True, kw_only=True)
class RequestedFrames:
    """The requested frames; see config/README.md."""

    frame_stride: Annotated[int, Key(schema={"type": "integer", "minimum": 1})]
    frame_range: Annotated[list[int] | None, Key(schema={"type": ["array", "null"]})]
    max_frames: int | None


@dataclass(frozen=True, kw_only=True)
class TilesUsed:
    """How frames were cut into tiles, and the results; only if `detect.tiles` is set."""

    width: Annotated[int, Key("Width of a tile, in pixels of the frame.")]
    height: int
    overlap: Annotated[float, Key("The share of a tile that it has in common with the next one.", part="share")]
    frames: Annotated[int, Key("Number of frames that were larger than a tile and were cut.", part="count")]
    tiles: Annotated[int, Key("Number of tiles of all these frames.", part="count")]
    whole: Annotated[int, Key("Number of frames that also went through the network as a whole.", part="count")]
    joined: Annotated[int, Key("Boxes joined from parts in several tiles.", part="count")]
    dropped: Annotated[int, Key("Boxes removed, as a better one shows the same object.", part="count")]


@dataclass(frozen=True, kw_only=True)
class Seams:
    """Hashes of frames at both ends of a part of a video: the first of the part, and the first after the part."""

    head_hashes: list[str]
    tail_hashes: list[str]


@dataclass(frozen=True, kw_only=True)
class NetworkUsed:
    """The network that the frames of a media went through."""

    sha256: Annotated[str, Key("SHA-256 of the graph.", part="sha256")]
    weights_sha256: Annotated[
        str | None, Key("SHA-256 of the file with the graph's weights.", part="sha256", optional=True)
    ] = None
    width: Annotated[int, Key("Pixels of its input.")]
    height: int
    classes: list[str]
    nms: Annotated[dict[str, Any], Key("Settings of the suppression.")]
    description: Annotated[dict[str, Any] | None, Key(_DESCRIPTION, schema={"type": "object"}, optional=True)] = None
    source: Annotated[str | None, Key("`reference` of the network's provenance.")]
    converted: Annotated[
        dict[str, Any] | None, Key("The record of convert_network.", part="conversion", optional=True)
    ] = None
    int8: Annotated[
        dict[str, Any] | None, Key("The record of quantize_network.", part="quantization", optional=True)
    ] = None


@dataclass(frozen=True, kw_only=True)
class DetectionRecord:
    """How the boxes of a media were found."""

    media_id: MediaId
    name: Name
    kind: Annotated[Kind | None, Key(schema={"enum": ["video", "image", None]})]
    state: Annotated[MediaState, Key(part="state")]
    reason: Reason
    frames: FrameCounts
    numbering: Numbering | None
    width: Annotated[
        int, Key("Pixels of the first frame, upright; 0 without one.", schema={"type": "integer", "minimum": 0})
    ]
    height: Annotated[int, Key(schema={"type": "integer", "minimum": 0})]
    boxes: Count
    boxes_without_area: Annotated[int, Key("Boxes left out, as they are outside the picture.", part="count")]
    threshold: Annotated[float, Key("The least score of a box.", part="share")]
    asked: RequestedFrames
    tiles: Annotated[TilesUsed | None, Key("Set if tiles are used.", optional=True)] = None
    network: Annotated[NetworkUsed | None, Key("Null if no frame went through the network.")]
    engine: Annotated[dict[str, object] | None, Key("Null if no frame went through the network.", schema=_ENGINE)]
    seconds: Annotated[float, Key("From the job's start to its end.", schema={"type": "number", "minimum": 0})]
    stages: Annotated[
        dict[str, float],
        Key(
            "Seconds of the job's main thread by stage: opening the network, waiting for frames, the network, boxes, "
            "pictures.",
            schema=_STAGES,
        ),
    ]
    parts: Annotated[
        int,
        Key(
            "Number of parts, each processed by a job; `seconds` and `stages` are sums.",
            schema={"type": "integer", "minimum": 1},
        ),
    ]
    seams: Annotated[Seams | None, Key("The ends of a part.", optional=True, between_jobs=True)] = None
