"""How the boxes of a media were found."""

from dataclasses import dataclass
from typing import Annotated, Any, TypedDict

from scripts.lib.errors import MediaState
from scripts.lib.record_files import Key
from scripts.lib.records.keys import Count, Kind, MediaId, Name, Reason, Role

# The schema of what an engine says of itself: these keys, and others that differ from engine to engine.
_ENGINE = {
    "type": ["object", "null"],
    "required": ["name", "version", "device", "precision"],
    "properties": {key: {"type": "string"} for key in ("name", "version", "device", "precision")},
}
_DESCRIPTION = "How it is fed and read, where its family has a description."
_STAGES = {
    "type": "object",
    "propertyNames": {"enum": ["opening", "frames", "network", "boxes", "pictures"]},
    "additionalProperties": {"type": "number", "minimum": 0},
}


class FrameError(TypedDict):
    """One decoding error: where in the file, and what FFmpeg says."""

    where: str
    what: str


@dataclass(frozen=True, kw_only=True)
class FrameCounts:
    """What reading a media's frames gave."""

    decoded: Count
    declared: Annotated[int | None, Key("By the container.")]
    missing: Annotated[
        int, Key("Coded pictures that never came out; frames after them count on as if they had.", part="count")
    ]
    skipped: Annotated[
        int, Key("Pictures before the first key frame, which cannot be decoded; they count in no number.", part="count")
    ]
    missing_by_time: Annotated[
        int | None,
        Key(
            "Frames that gaps in time have room for, in a rate that is constant otherwise: dropped by a camera, or "
            "lost; they count in no number.",
            part="count",
            optional=True,
        ),
    ] = None
    first_gap: Annotated[str | None, Key("After which frame the first of these gaps is.", optional=True)] = None
    used: Annotated[int, Key("Through the network.", part="count")]
    numbers: Annotated[
        int, Key("How many of Tator's numbers the decoded frames stand at; see docs/numbering.md.", part="count")
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

    file: Annotated[Role, Key("Which file was read.", schema={"enum": ["archival", "streaming"]})]
    file_reason: Annotated[str | None, Key("Why.", schema={"type": "string"})]
    replaces_original: Annotated[
        bool, Key("Whether a copy was read because the original is not picture for picture the same.")
    ]
    rate: Annotated[float | None, Key("Frames a second.")]
    numbers: Annotated[int, Key("How many numbers the frames stand at.", part="count")]
    repeated: Annotated[int, Key("Frames that stand at several numbers.", part="count")]
    left_out: Annotated[int, Key("Frames that stand at none.", part="count")]
    turned: Annotated[
        int | None,
        Key("Degrees, clockwise, by which frames were turned to lie as in Tator's copy; null: as players turn them."),
    ]
    disagreements: Annotated[list[str], Key("What in Tator's record disagrees with the file; a sentence each.")]


@dataclass(frozen=True, kw_only=True)
class AskedFrames:
    """The frames that were asked for; see config/README.md."""

    frame_stride: Annotated[int, Key(schema={"type": "integer", "minimum": 1})]
    frame_range: Annotated[list[int] | None, Key(schema={"type": ["array", "null"]})]
    max_frames: int | None


@dataclass(frozen=True, kw_only=True)
class TilesUsed:
    """How frames were cut into tiles, and what became of that; only if `detect.tiles` is set."""

    width: Annotated[int, Key("Of a tile, in pixels of the frame.")]
    height: int
    overlap: Annotated[float, Key("The share of a tile that it has in common with the next one.", part="share")]
    frames: Annotated[int, Key("Those that were larger than a tile, and cut.", part="count")]
    tiles: Annotated[int, Key("Of all of them.", part="count")]
    whole: Annotated[int, Key("Those that went through the network as a whole too.", part="count")]
    joined: Annotated[int, Key("Boxes that were made of parts in several tiles.", part="count")]
    dropped: Annotated[int, Key("Boxes that went, as a better one shows the same thing.", part="count")]


@dataclass(frozen=True, kw_only=True)
class Seams:
    """Hashes of the frames at both ends of a part of a video: its first ones, and the first ones after its last."""

    head_hashes: list[str]
    tail_hashes: list[str]


@dataclass(frozen=True, kw_only=True)
class NetworkUsed:
    """The network that the frames of a media went through."""

    sha256: Annotated[str, Key("Of the graph.", part="sha256")]
    weights_sha256: Annotated[str | None, Key("Of the file beside the graph.", part="sha256", optional=True)] = None
    width: Annotated[int, Key("Pixels of its input.")]
    height: int
    classes: list[str]
    nms: Annotated[dict[str, Any], Key("Settings of the suppression.")]
    description: Annotated[dict[str, Any] | None, Key(_DESCRIPTION, schema={"type": "object"}, optional=True)] = None
    source: Annotated[str | None, Key("`reference` of the network's provenance.")]
    converted: Annotated[dict[str, Any] | None, Key("What convert_network did.", part="conversion", optional=True)] = (
        None
    )
    int8: Annotated[dict[str, Any] | None, Key("What quantize_network did.", part="quantization", optional=True)] = None


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
    boxes_without_area: Annotated[int, Key("Left out, as nothing of them lies within the picture.", part="count")]
    threshold: Annotated[float, Key("The least score of a box.", part="share")]
    asked: AskedFrames
    tiles: Annotated[TilesUsed | None, Key("Where tiles are asked for.", optional=True)] = None
    network: Annotated[NetworkUsed | None, Key("Null where no frame was looked at.")]
    engine: Annotated[dict[str, object] | None, Key("Null where no frame was looked at.", schema=_ENGINE)]
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
            "In how many parts it was detected, by a job each; `seconds` and `stages` are sums.",
            schema={"type": "integer", "minimum": 1},
        ),
    ]
    seams: Annotated[Seams | None, Key("Of a part.", optional=True, between_jobs=True)] = None
