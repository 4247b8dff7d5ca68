"""What the tests of the steps that talk to Tator share: one media's way through them, by their own functions."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import tator

from scripts.download_media import download_media
from scripts.lib.files import read_json
from scripts.lib.record_files import write_record
from scripts.lib.records.network import NetworkFile
from scripts.lib.uploads.upload import UploadOptions
from scripts.lib.workflow.batches import SharedJob
from scripts.mark_processed import mark_processed
from scripts.prepare_upload import prepare_upload
from scripts.resolve_media import resolve_media
from scripts.upload_detections import CONNECTIONS, upload_detections
from tests.made_records import detection_record, provenance
from tests.tator_server.launch import Server

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
        """Write what detect would have: rows are `frame,x,y,w,h,det_conf,det_species`."""
        csv = "".join(f"{media_id}_x,{row}\n" for row in rows)
        (self.folder / f"found_{media_id}.csv").write_text(HEADER + csv)
        state = state or ("done" if rows else "no detections")
        outcome = detection_record(media_id=media_id, state=state, reason=reason, boxes=len(rows), decoded=60)
        write_record(self.folder / f"found_{media_id}.json", outcome)

    def terms(self, *, threshold: float = 0.0, overlap_limit: float = 0.5, on_damaged: str = "fail") -> UploadOptions:
        files = self.folder / "destination.json", self.folder / "train.ini"
        return UploadOptions(*files, threshold=threshold, overlap_limit=overlap_limit, on_damaged=on_damaged)

    def upload(self, media_id: int, **changes: Any) -> dict[str, Any]:
        paths = self._upload_paths(media_id)
        upload_detections(**self.where, terms=self.terms(**changes), **paths)
        return read_json(paths["uploads"][0])

    def upload_shared(
        self, *media_ids: int, sources: str = "1", connections: int = CONNECTIONS, **changes: Any
    ) -> list[dict[str, Any]]:
        paths = self._upload_paths(*media_ids)
        upload_detections(
            **self.where,
            **paths,
            terms=self.terms(**changes),
            shared=SharedJob(self.folder / "uploaded.json", self.folder / "finished", sources),
            connections=connections,
        )
        return [read_json(path) for path in paths["uploads"]]

    def _upload_paths(self, *media_ids: int) -> dict[str, list[Path]]:
        names = {
            "detections": "found_{}.csv",
            "outcomes": "found_{}.json",
            "records": "record_{}.json",
            "uploads": "upload_{}.json",
        }
        return {key: [self.folder / name.format(number) for number in media_ids] for key, name in names.items()}

    def mark(self, *media_ids: int) -> dict[str, Any]:
        uploads = [self.folder / f"upload_{media_id}.json" for media_id in media_ids]
        mark_processed(**self.where, uploads=uploads, attribute=MARK, marks=self.folder / "marks.json")
        return read_json(self.folder / "marks.json")

    def boxes(self, **filters: Any) -> list[dict[str, Any]]:
        """The boxes of the workflow's version as Tator's own client lists them, tombstones if asked for."""
        version = next(
            v["id"] for v in self.api.get_version_list(self.server.project_id) if v["name"] == "Object Detector"
        )
        found = self.api.get_localization_list(self.server.project_id, version=version, **filters)
        return sorted(found, key=lambda box: (box["media"], box["frame"], box["x"]))
