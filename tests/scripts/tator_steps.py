"""Shared by the tests of the steps that talk to Tator: the steps of a run, called in one process."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import tator

from scripts.download_media import download_media
from scripts.lib.files import read_json, write_json
from scripts.lib.records import MediaRecord
from scripts.lib.records.media import LocalFile
from scripts.lib.records.network import NetworkFile
from scripts.lib.records.record_files import write_record
from scripts.lib.tracking.tracks import COLUMNS
from scripts.lib.uploads.track_upload import TrackUploadOptions
from scripts.lib.uploads.upload import UploadOptions
from scripts.lib.workflow.planning.batches import SharedJob
from scripts.mark_processed import mark_processed
from scripts.match_media import match_media
from scripts.prepare_upload import prepare_upload
from scripts.resolve_media import resolve_media
from scripts.upload_detections import CONNECTIONS, upload_detections
from scripts.upload_tracks import upload_tracks
from scripts.write_counts import write_counts
from tests.made_records import detection_record, provenance
from tests.tator_server.launch import Server
from tests.tator_server.seed import attribute as seed_attribute

HEADER = "video_id,frame,x,y,w,h,det_conf,det_species\n"
MARK = "Object Detector Processed"


@dataclass
class Steps:
    """The steps of a run in one folder, against one server."""

    folder: Path
    server: Server
    digest: str = "sha256:abc"

    @property
    def where(self) -> dict[str, Any]:
        return {"host": self.server.host, "project_id": self.server.project_id}

    @property
    def api(self) -> Any:
        return tator.get_api(self.server.host, self.server.token)

    def resolve(self, *media_ids: int, **changes: Any) -> list[dict[str, Any]]:
        records = [self.folder / f"record_{media_id}.json" for media_id in media_ids]
        settings = {"kind": "any", "skip_processed": False, "mark_attribute": MARK, **changes}
        resolve_media(**self.where, media_ids=list(media_ids), records=records, **settings)
        return [read_json(path) for path in records]

    def download(self, media_id: int) -> dict[str, Any]:
        paths = {"record": f"record_{media_id}.json", "media": f"media_{media_id}", "download": f"got_{media_id}.json"}
        download_media(**self.where, **{key: self.folder / name for key, name in paths.items()})
        return read_json(self.folder / f"got_{media_id}.json")

    def prepare(self, **changes: Any) -> dict[str, Any]:
        (self.folder / "train.ini").write_text("[Data]\nSpecies=cod,crab\n")
        settings = {
            "localization_type_id": self.server.localization_type_id,
            "species_attribute": "Species",
            "confidence_attribute": "Confidence",
            "version": "Object Detector",
            "version_id": None,
            "version_number": None,
            **changes,
        }
        files = {"train.ini": NetworkFile(sha256="abc", size=1), "graph.pb": NetworkFile(sha256="def", size=1)}
        origin = provenance("site/weights:1", digest=self.digest, files=files)
        write_record(self.folder / "provenance.json", origin)
        files = {"train_ini": "train.ini", "provenance": "provenance.json", "destination": "destination.json"}
        prepare_upload(**self.where, **{key: self.folder / name for key, name in files.items()}, **settings)
        return read_json(self.folder / "destination.json")

    def detected(self, media_id: int, rows: list[str], state: str | None = None, reason: str | None = None) -> None:
        """Write the results of detect: rows are `frame,x,y,w,h,det_conf,det_species`."""
        csv = "".join(f"{media_id}_x,{row}\n" for row in rows)
        (self.folder / f"found_{media_id}.csv").write_text(HEADER + csv)
        state = state or ("done" if rows else "no detections")
        outcome = detection_record(media_id=media_id, state=state, reason=reason, boxes=len(rows), decoded=60)
        write_record(self.folder / f"found_{media_id}.json", outcome)

    def options(self, *, threshold: float = 0.0, overlap_limit: float = 0.5, on_damaged: str = "fail") -> UploadOptions:
        files = self.folder / "destination.json", self.folder / "train.ini"
        return UploadOptions(*files, threshold=threshold, overlap_limit=overlap_limit, on_damaged=on_damaged)

    def upload(self, media_id: int, *, fill_gaps: bool = False, **changes: Any) -> dict[str, Any]:
        paths = self._upload_paths(media_id)
        if fill_gaps:
            paths["track_boxes"] = [self.folder / f"tracks_{media_id}.csv"]
        upload_detections(**self.where, options=self.options(**changes), **paths)
        return read_json(paths["uploads"][0])

    def upload_shared(
        self, *media_ids: int, code_hash: str = "1", connections: int = CONNECTIONS, **changes: Any
    ) -> list[dict[str, Any]]:
        paths = self._upload_paths(*media_ids)
        upload_detections(
            **self.where,
            **paths,
            options=self.options(**changes),
            shared=SharedJob(self.folder / "uploaded.json", self.folder / "finished", code_hash),
            connections=connections,
        )
        return [read_json(path) for path in paths["uploads"]]

    def add_track_type(self, **changes: Any) -> int:
        """Add a type of tracks to the project, and return its id."""
        names = {"Species": "string", "Confidence": "float", "Length": "int"}
        return self.server.add(
            "state_type",
            **{
                "project": self.server.project_id,
                "name": "Track",
                "association": "Localization",
                "dtype": "state",
                "attribute_types": [seed_attribute(name, dtype) for name, dtype in names.items()],
                "delete_child_localizations": False,
                "media": [self.server.video_type_id],
                **changes,
            },
        )

    def tracked(self, media_id: int, *tracks: list[str], state: str = "done", reason: str | None = None) -> None:
        """Write the results of track: a track is a list of rows as in `detected`, of the species of the first."""
        lines, found = [], []
        for number, rows in enumerate(tracks, start=1):
            cells = [row.split(",") for row in rows]
            for frame, x, y, w, h, scores, species in cells:
                score = max(map(float, scores.split(":")))
                lines.append((int(frame), f"{frame},{number},{x},{y},{w},{h},{score:.6f},-1,-1,-1,{species},0"))
            frames = [int(row[0]) for row in cells]
            found.append({
                "track": number, "species": int(cells[0][-1]), "confidence": 0.75, "first_frame": min(frames),
                "last_frame": max(frames), "best_frame": frames[0], "boxes": len(frames), "interpolated": 0,
            })  # fmt: skip
        text = "".join(f"{line}\n" for line in [",".join(COLUMNS), *(line for _, line in sorted(lines))])
        (self.folder / f"tracks_{media_id}.csv").write_text(text)
        record = {"media_id": media_id, "state": state, "reason": reason, "tracks": found}
        write_json(self.folder / f"tracks_{media_id}.json", record)

    def track_options(self, min_length: int = 2, *, fill_gaps: bool = False) -> TrackUploadOptions:
        return TrackUploadOptions(self.folder / "destination.json", self.folder / "train.ini", min_length, fill_gaps)

    def upload_tracks(
        self, *media_ids: int, min_length: int = 2, fill_gaps: bool = False, code_hash: str | None = None
    ) -> list[dict[str, Any]]:
        """Upload the tracks of media, in one job that they share if `code_hash` is given."""
        names = {
            "track_boxes": "tracks_{}.csv",
            "tracks": "tracks_{}.json",
            "outcomes": "found_{}.json",
            "uploads": "upload_{}.json",
            "records": "record_{}.json",
            "track_uploads": "track_upload_{}.json",
        }
        paths = {key: [self.folder / name.format(number) for number in media_ids] for key, name in names.items()}
        shared = SharedJob(self.folder / "tracks_uploaded.json", self.folder / "finished_tracks", code_hash or "")
        options = self.track_options(min_length, fill_gaps=fill_gaps)
        upload_tracks(**self.where, **paths, options=options, shared=shared if code_hash else None)
        return [read_json(path) for path in paths["track_uploads"]]

    def states(self, **filters: Any) -> list[dict[str, Any]]:
        """Return the states of the workflow's version, listed with Tator's own client."""
        where = read_json(self.folder / "destination.json")
        return list(self.api.get_state_list(self.server.project_id, version=[where["version_id"]], **filters))

    def _upload_paths(self, *media_ids: int) -> dict[str, list[Path]]:
        names = {
            "detections": "found_{}.csv",
            "outcomes": "found_{}.json",
            "records": "record_{}.json",
            "uploads": "upload_{}.json",
        }
        return {key: [self.folder / name.format(number) for number in media_ids] for key, name in names.items()}

    def mark(
        self,
        *media_ids: int,
        tracks: bool = False,
        tracks_not_uploaded: bool = False,
        counts: list[Path] | None = None,
    ) -> dict[str, Any]:
        def records(name: str) -> list[Path]:
            return [self.folder / f"{name}_{media_id}.json" for media_id in media_ids]

        files = {
            "uploads": records("upload"),
            "tracks": records("tracks") if tracks_not_uploaded else None,
            "track_uploads": records("track_upload") if tracks else None,
            "counts": counts,
        }
        mark_processed(
            **self.where,
            **files,
            marks=self.folder / "marks.json",
            attribute=MARK,
            memory=self.folder / "written_marks.json",
        )
        return read_json(self.folder / "marks.json")

    def count(self, numbers: dict[int, int], species: str, attribute: str) -> dict[str, Any]:
        """Write MaxN of a species into an attribute of media, by media."""
        rows = [f"{media_id},{species},{number}\n" for media_id, number in numbers.items()]
        (self.folder / "counts.csv").write_text("".join(["media_id,species,max_n\n", *rows]))
        kinds = {"records": "record", "outcomes": "found", "uploads": "upload"}
        paths = {key: [self.folder / f"{name}_{number}.json" for number in numbers] for key, name in kinds.items()}
        files = {"counts": "counts.csv", "memory": "counted.json", "counts_in_tator": "counts_in_tator.json"}
        paths |= {key: self.folder / name for key, name in files.items()}
        write_counts(**self.where, attributes={species: attribute}, **paths)
        return read_json(self.folder / "counts_in_tator.json")

    def match(self, like: list[int], media_ids: Sequence[int] = (), by: str = "name") -> list[dict[str, Any]]:
        """Match files of a folder, with the names of the media `like`, to media in Tator."""
        records = [self.folder / f"local_{media_id}.json" for media_id in like]
        for media_id, path in zip(like, records, strict=True):
            file = LocalFile(path=self.server.media[media_id], size=1, modified_ns=None)
            local = MediaRecord(media_id=media_id, state="ready", reason=None, kind="video", name=file.path, local=file)
            write_record(path, local)
        listing, match = self.folder / "listing.jsonl", self.folder / "matches" / f"{like[0]}.json"
        match.parent.mkdir(exist_ok=True)
        listing.write_text(json.dumps({"folder": str(self.folder)}))
        match_media(
            **self.where, records=records, listing=listing, match_by=by, media_ids=list(media_ids), mark_attribute=MARK,
            matches=[match], match_table=self.folder / "matches.csv",
        )  # fmt: skip
        return list(read_json(match)["matches"])

    def boxes(self, **filters: Any) -> list[dict[str, Any]]:
        """Return the boxes of the workflow's version, listed with Tator's own client, sorted by media, frame and x."""
        version = read_json(self.folder / "destination.json")["version_id"]
        found = self.api.get_localization_list(self.server.project_id, version=version, **filters)
        return sorted(found, key=lambda box: (box["media"], box["frame"], box["x"]))
