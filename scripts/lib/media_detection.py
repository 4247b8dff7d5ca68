"""Detection in media: what a job is asked, its network, and one media's CSV, pictures and record."""

import logging
import os
from collections.abc import Iterable, Sequence
from contextlib import ExitStack
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, NamedTuple

from scripts.lib import train_ini as train
from scripts.lib.backends import open_engine, suppression
from scripts.lib.backends.base import Engine
from scripts.lib.backends.rows import RowsConvention
from scripts.lib.clip import Clip, Seen
from scripts.lib.detections import DetectionWriter, video_id
from scripts.lib.engine_choice import reason as engine_reason
from scripts.lib.errors import GraphError, MediaFault, MediaState
from scripts.lib.files import read_json, replacing, sha256, write_json
from scripts.lib.frames.parts import Part
from scripts.lib.frames.reader import open_frames
from scripts.lib.frames.source import FrameSource, Summary, wanted_frames
from scripts.lib.metrics import count_media
from scripts.lib.pipeline import Detector
from scripts.lib.previews import Previews
from scripts.lib.retinanet import Size

_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Search:
    """What is asked of a job, as its settings name it; see config/README.md.

    Attributes:
        img_max_side: width of the network's input in pixels.
        img_min_side: height of the network's input in pixels.
        keep_threshold: the least score of a box.
        batch_size: frames that go through the network at once.
        frame_stride: detect in every n-th frame of a video.
        frame_range: first and last frame of a video to detect in, both included; None for all.
        max_frames: detect in at most so many frames of a video; None for all.
        engine: what runs the network: openvino, onnxruntime or tensorrt.
        precision: what it computes with: f32, f16 or int8.
        engines: the folder of TensorRT's engine files.
        nms: settings of the suppression in place of the graph's own.
        pixels: for a network that gives rows, the pixels it takes.
        first_label: for a network that gives rows, the label of the first class.
        threads: of the CPU.
    """

    img_max_side: int
    img_min_side: int
    keep_threshold: float
    batch_size: int
    frame_stride: int
    frame_range: list[int] | None
    max_frames: int | None
    engine: str
    precision: str
    engines: Path
    nms: dict[str, Any] | None
    pixels: str | None
    first_label: int | None
    threads: int

    @property
    def size(self) -> Size:
        """The network's input."""
        return Size(self.img_max_side, self.img_min_side)

    @property
    def frames(self) -> dict[str, Any]:
        """Which frames of a video are asked for, as the record says it."""
        return {key: getattr(self, key) for key in ("frame_stride", "frame_range", "max_frames")}

    @property
    def key(self) -> dict[str, Any]:
        """What the boxes depend on."""
        return {key: value for key, value in asdict(self).items() if key not in ("engines", "threads")}

    @property
    def wanted(self) -> range:
        """The numbers of these frames."""
        return wanted_frames(self.frame_stride, self.frame_range, self.max_frames)


class Network:
    """The network of a job: loaded once, when a media needs it.

    Attributes:
        made_with: what the records say of the network and its engine; nothing before it is loaded.
    """

    def __init__(self, graph: Path, train_ini: Path, provenance: Path, changes: Sequence[Path], search: Search) -> None:
        """Name the files; see detect."""
        self._graph, self._train_ini, self._provenance = graph, train_ini, provenance
        self._changes, self._search = changes, search
        self.made_with: dict[str, Any] = {"network": None, "engine": None}

    def load(self) -> Engine:
        """Make the network ready.

        Raises:
            GraphError: it cannot be used, or does not fit train.ini.
        """
        names = train.species(self._train_ini)
        nms = self._search.nms
        engine = open_engine(
            self._graph,
            engine=self._search.engine,
            size=self._search.size,
            batch_size=self._search.batch_size,
            threads=self._search.threads,
            precision=self._search.precision,
            engines=self._search.engines,
            nms=None if nms is None else suppression.from_values(nms),
            rows=RowsConvention(self._search.pixels, self._search.first_label, len(names)),
        )
        try:
            self.made_with = self._describe(engine, names)
        except BaseException:
            engine.close()
            raise
        return engine

    def _describe(self, engine: Engine, names: list[str]) -> dict[str, Any]:
        if len(names) != engine.classes:
            raise GraphError(
                f"{self._graph} scores {engine.classes} classes, {self._train_ini} names {len(names)} "
                f"({', '.join(names)}); expected as many: take the train.ini that the network was trained with"
            )
        return {
            "network": {
                "sha256": sha256(self._graph),
                **self._weights(),
                "width": engine.size.width,
                "height": engine.size.height,
                "classes": names,
                "nms": asdict(engine.nms) | {"min_score": max(engine.nms.min_score, 0.0)},
                "source": read_json(self._provenance).get("reference"),
                **{change.parent.name: read_json(change) for change in self._changes},
            },
            "engine": engine.description | {"chosen": engine_reason(os.environ)},
        }

    def _weights(self) -> dict[str, str]:
        quantised = self._graph.suffix == ".xml"
        return {"weights_sha256": sha256(self._graph.with_suffix(".bin"))} if quantised else {}


class Found(NamedTuple):
    """The files that a media's detection becomes: its CSV, its record, its pictures."""

    detections: Path
    outcome: Path
    previews: Path


class MediaDetection(Clip):
    """One media: its boxes go to a CSV, some of its frames to a file of pictures, the rest to a record.

    A fault of the media itself is a result: the record says so, and the CSV holds the boxes found before it.
    """

    def __init__(
        self,
        media: Path | bytes,
        *,
        wanted: dict[str, Any],
        fetched: dict[str, Any],
        found: Found,
        search: Search,
        network: Network,
        part: Part | None = None,
    ) -> None:
        """Begin a media.

        Args:
            media: the downloaded file, or a picture's content.
            wanted: what resolve_media wrote.
            fetched: what download_media wrote; unless both say `ready`, their state and reason are this step's too.
            found: the files to write.
            search: what is asked.
            network: what is loaded when the first frame is there.
            part: of a video, to detect in only this one.
        """
        super().__init__()
        self._media, self._wanted, self._fetched = media, wanted, fetched
        self._found, self._search, self._network = found, search, network
        self._part = part
        self._album = Previews(wanted.get("fps"), search.frame_stride, clip=wanted.get("kind") != "image")
        self._files = ExitStack()
        self._rows: DetectionWriter | None = None

    def open(self) -> FrameSource:
        """Open the media's file, if there is one."""
        first = self._wanted if self._wanted["state"] != "ready" else self._fetched
        if first["state"] != "ready":
            raise MediaFault(first["state"], first["reason"])
        media, self._media = self._media, b""  # held no longer than it is read: a content may be large
        return open_frames(media, self._wanted["kind"], self._search.wanted, self._part)

    def take(self, seen: Seen) -> None:
        """Write a frame's boxes and look at its picture."""
        rows = self._rows or self._begun()
        if len(seen.boxes):
            rows.write(seen.number, seen.boxes, seen.labels, seen.scores)
        self._album.look(*seen)

    def _begun(self) -> DetectionWriter:
        stream = self._files.enter_context(replacing(self._found.detections))
        self._rows = DetectionWriter(stream, video_id(self._wanted["media_id"], self._wanted["name"] or ""))
        return self._rows

    def finish(self) -> None:
        """Close the CSV; write the pictures and, at last, the record."""
        if self._rows is None:
            self._begun()
        self._files.close()
        self._album.write(self._found.previews)
        state, reason = (self.fault.state, self.fault.reason) if self.fault else judged(self.summary, self.boxes)
        seconds = max(0.001, round(sum(self.stages.values()), 3))
        summary = self.summary
        record = {
            "media_id": self._wanted["media_id"],
            "name": self._wanted["name"],
            "kind": self._wanted.get("kind"),
            "state": state,
            "reason": reason,
            "frames": {
                "decoded": summary.decoded,
                "declared": summary.declared,
                "used": summary.used,
                "read_to_end": summary.read_to_end,
                "errors": summary.errors,
                "error_count": summary.error_count,
            },
            "width": summary.width,
            "height": summary.height,
            "boxes": self.boxes,
            "boxes_without_area": self.boxes_without_area,
            "threshold": self._search.keep_threshold,
            "asked": self._search.frames,
            **(self._network.made_with if self.frames else {"network": None, "engine": None}),
            "seconds": seconds,
            "stages": {stage: round(spent, 3) for stage, spent in self.stages.items()},
            "parts": 1,
        }
        if self._part is not None:
            record["seams"] = {"begins": summary.begins, "goes_on": summary.goes_on}
        write_json(self._found.outcome, record)
        tell(record, count=self._part is None)

    def abandon(self, error: BaseException) -> None:
        """Leave no CSV."""
        self._files.__exit__(type(error), error, error.__traceback__)


def judged(summary: Summary, boxes: int) -> tuple[MediaState, str | None]:
    """Return the state of a media that was read as far as it was asked for, and the reason for it."""
    if summary.damaged:
        return "damaged", summary.damage
    reason = None
    if not summary.read_to_end:
        reason = f"nothing is asked for after frame {summary.decoded - 1}; what follows was not read"
    elif not summary.used:
        reason = f"none of its {summary.decoded} frames is asked for"
    elif summary.declared not in (None, summary.decoded):
        _log.warning("%d frames decoded, %d declared", summary.decoded, summary.declared)
    return ("done" if boxes else "no detections"), reason


def tell(record: dict[str, Any], *, count: bool) -> None:
    """Say what a record of detection says, in the log and, where it is to count, in the metrics."""
    frames, said = record["frames"], (record["state"], record["frames"]["used"], record["boxes"], record["seconds"])
    if count:
        count_media(*said)
    _log.info(
        "media %d: %s, %d frames decoded, %d of them through the network, %d boxes, %.1f s",
        *(record["media_id"], said[0], frames["decoded"], *said[1:]),
    )


def detect_in(media: Iterable[MediaDetection], network: Network, search: Search, expected: int = 1) -> None:
    """Detect in media one after another, with one network; each is written down soon after its last frame.

    Args:
        media: taken one by one while the ones before are worked on.
        network: what to detect with.
        search: what is asked.
        expected: how many media there will be.
    """
    detector = Detector(network.load, size=search.size, batch_size=search.batch_size, threshold=search.keep_threshold)
    detector.run(media, expected)
