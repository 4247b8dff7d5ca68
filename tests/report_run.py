"""A run's folder with the files of all steps, without running them, for tests of pages and exports."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from scripts.count_species import count_species
from scripts.lib.boxes import Size
from scripts.lib.files import write_json
from scripts.lib.frame_result import FrameResult
from scripts.lib.pictures.previews import Previews
from scripts.lib.records import TrackUploadRecord
from scripts.lib.records.record_files import write_record
from scripts.make_report import make_report
from scripts.summarize import summarize
from tests.media_files import painted

SIZE = Size(160, 90)
DESTINATION = {"version_id": 43, "version": "Object Detector", "type_id": 31, "species_attribute": "Species",
               "confidence_attribute": "Confidence", "defaults": {}}  # fmt: skip
PROVENANCE = {"source": "directory", "reference": "network", "fetched_by": None, "digest": None, "image_id": None,
              "files": {name: {"sha256": "a" * 64, "size": 1} for name in ("graph.pb", "train.ini")}}  # fmt: skip


@dataclass
class FakeRun:
    """A run in a folder: add media, then make its page; without `destination` nothing is uploaded."""

    folder: Path
    species: list[str] = field(default_factory=lambda: ["cod", "crab"])
    media_ids: list[int] = field(default_factory=list)
    tracks: dict[int, list[dict[str, Any]]] = field(default_factory=dict)
    track_uploads: list[TrackUploadRecord] = field(default_factory=list)
    described: dict[str, Any] = field(default_factory=dict)
    destination: dict[str, Any] | None = field(default_factory=lambda: dict(DESTINATION))

    def add(
        self, name: str | None = "a.mp4", *, state: str = "done", frames: int = 50, kind: str = "video",
        boxes: Any = lambda frame: [(0, 0.9)], reason: str | None = None,
    ) -> int:  # fmt: skip
        """Add a media; `boxes` returns the class, from 0, and the score of each box of a frame."""
        media_id = len(self.media_ids) + 1
        self.media_ids.append(media_id)
        rows, album = [], Previews(25.0)
        for frame in range(frames):
            found = boxes(frame)
            corners = np.array([[8000 * (1 + at), 20000, 30000, 25000] for at in range(len(found))], np.int64)
            labels = np.array([label for label, _ in found], np.int64)
            scores = np.zeros((len(found), len(self.species)), np.float32)
            scores[np.arange(len(found)), labels] = [score for _, score in found]
            picture = painted(frame % 256, SIZE)
            album.add_frames([FrameResult(frame, (frame,), picture, SIZE, corners.reshape(-1, 4), labels, scores)])
            for at, (label, _) in enumerate(found):
                conf = ":".join(f"{score:.6f}" for score in scores[at])
                rows.append(f"{media_id}_x,{frame},{8 * (1 + at)}.000,20.000,30.000,25.000,{conf},{label + 1}\n")
        self._write(
            "results/detections/{}.csv", media_id, "video_id,frame,x,y,w,h,det_conf,det_species\n" + "".join(rows)
        )
        album.write(self._path("results/previews/{}.zip", media_id))
        ready = frames > 0
        record = {"media_id": media_id, "state": "ready" if ready else state, "reason": reason, "name": name}
        self._write("resources/records/{}.json", media_id, record | ({"kind": kind, "fps": 25.0} if ready else {}))
        self._write("results/detections/{}.json", media_id, {
            "media_id": media_id, "name": name, "kind": kind if ready else None, "state": state, "reason": reason,
            "frames": {"decoded": frames, "declared": frames, "missing": 0, "skipped": 0,
                       "used": frames, "numbers": frames, "read_to_end": True, "errors": [],
                       "error_count": 0},
            "width": SIZE.width if ready else 0, "height": SIZE.height if ready else 0, "boxes": len(rows),
            "boxes_without_area": 0, "threshold": 0.3,
            "asked": {"frame_stride": 1, "frame_range": None, "max_frames": None},
            "network": {"sha256": "a" * 64, "width": 160, "height": 90, "classes": self.species, "nms": {},
                        "source": "network"} if ready else None,
            "engine": {"name": "openvino", "version": "1", "device": "CPU", "precision": "f32"} if ready else None,
            "seconds": 2.0, "stages": {"opening": 0.5, "frames": 0.1, "network": 1.3, "boxes": 0.05, "pictures": 0.05},
            "numbering": None, "parts": 1,
        })  # fmt: skip
        good = state in ("done", "no detections")
        upload: dict[str, Any] = {"media_id": media_id, "type_id": 1, "state": "verified" if good else "not uploaded"}
        people: dict[str, list[str]] = {"edited": [], "added": [], "deleted": [], "withheld": []}
        more = {"boxes": len(rows), "people": people, "verified_at": "2026-01-02T03:04:05+00:00"} if good else {}
        self._write("results/uploads/{}.json", media_id, upload | {"reason": reason} | more)
        return media_id

    def finish(self) -> None:
        """Write the files that follow those of the media."""
        for path, content in (
            (
                "results/marks.json",
                {"attribute": "Processed", "media_ids": self.media_ids, "missing": [], "failed": {}},
            ),
            ("resources/network/provenance.json", PROVENANCE),
            ("resources/destination.json", self.destination),
        ):
            write_json(self._path(path), content)
        self._path("resources/network/train.ini").write_text(f"[Data]\nSpecies={','.join(self.species)}\n", "utf-8")
        uploads = [self._path("results/track_uploads/{}.json", upload.media_id) for upload in self.track_uploads]
        for place, upload in zip(uploads, self.track_uploads, strict=True):
            write_record(place, upload)
        summarize(
            **self.every,
            tracks=[],
            track_uploads=uploads or None,
            marks=self.folder / "results/marks.json" if self.destination else None,
            provenance=self.folder / "resources/network/provenance.json",
            destination=self.folder / "resources/destination.json" if self.destination else None,
            on_damaged="fail",
            summary=self.folder / "results/summary.json",
            table=self.folder / "results/summary.txt",
        )

    @property
    def every(self) -> dict[str, Any]:
        """Return the files of all media, by kind."""
        kinds = {"records": "resources/records/{}.json", "outcomes": "results/detections/{}.json"}
        if self.destination:
            kinds["uploads"] = "results/uploads/{}.json"
        return {key: [self.folder / where.format(number) for number in self.media_ids] for key, where in kinds.items()}

    def page(self, *, threshold: float = 0.3, **changes: Any) -> Path:
        """Make the page, with tracks if there are any, and return it; boxes below the threshold do not count."""
        self.finish()
        tracks = []
        for number, found in self.tracks.items():
            tracks.append(self._path("results/tracks/{}.json", number))
            write_json(tracks[-1], {"media_id": number, "state": "done", "reason": None, "tracks": found})
        results = self.folder / "results"
        counted: dict[str, Any] = {"counts": results / "counts.csv", "intervals": results / "counts_by_interval.csv"}
        write_json(self._path("resources/attributes.json"), self.described)
        count_species(
            records=self.every["records"],
            outcomes=self.every["outcomes"],
            detections=[results / "detections" / f"{number}.csv" for number in self.media_ids],
            tracks=tracks,
            attributes=[self.folder / "resources/attributes.json"],
            train_ini=self.folder / "resources/network/train.ini",
            threshold=threshold,
            interval_seconds=1,
            **counted,
        )
        arguments: dict[str, Any] = {
            "evaluation": [], "host": "https://tator.example.org", "project_id": 11, "keep_threshold": 0.3,
            "upload_threshold": 0.5, "media_in_detail": 20, "settings": {"tator": {"project_id": 11}},
        } | changes  # fmt: skip
        make_report(
            summary=results / "summary.json",
            **self.every,
            detections=[results / "detections" / f"{number}.csv" for number in self.media_ids],
            previews=[results / "previews" / f"{number}.zip" for number in self.media_ids],
            tracks=tracks,
            train_ini=self.folder / "resources/network/train.ini",
            page=results / "overview.html",
            **counted,
            **arguments,
        )
        return results / "overview.html"

    def _path(self, where: str, media_id: int = 0) -> Path:
        path = self.folder / where.format(media_id)
        path.parent.mkdir(parents=True, exist_ok=True)
        return path

    def _write(self, where: str, media_id: int, content: Any) -> None:
        path = self._path(where, media_id)
        if isinstance(content, str):
            path.write_text(content, "utf-8")
        else:
            write_json(path, content)
