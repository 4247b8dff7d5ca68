"""Make Tator hold the boxes of many media in one job: one connection's schema, several media at a time."""

import logging
from concurrent.futures import Future, ThreadPoolExecutor, as_completed
from dataclasses import asdict, dataclass
from pathlib import Path

from scripts.lib.errors import MediaFault, PipelineError, ServerError, of_one_media
from scripts.lib.files import read_json, sha256
from scripts.lib.server.api import Project
from scripts.lib.server.faults import ServerUnavailable
from scripts.lib.uploads.failed_upload import record_failed_upload
from scripts.lib.uploads.upload import UploadOptions, still_stands, upload_media
from scripts.lib.workflow import job
from scripts.lib.workflow.batches import require, write_hashes
from scripts.lib.workflow.failures import as_fault
from scripts.lib.workflow.result_cache import Finished

# A user may make 100 requests a second; a server takes some of a second for each that makes boxes.
CONNECTIONS = 8
# A log has all of them.
REASONS_SHOWN = 3

_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class MediaInJob:
    """One media of the job, by its files; see upload_media."""

    detections: Path
    outcome: Path
    record: Path
    upload: Path

    @property
    def kept(self) -> tuple[int, list[str], tuple[Path]]:
        """What Finished is told of it: the media, what its result depends on, and the file that the job leaves."""
        hashes = [sha256(path) for path in (self.detections, self.outcome, self.record)]
        return read_json(self.record)["media_id"], hashes, (self.upload,)


def upload_many(
    *,
    detections: list[Path],
    outcomes: list[Path],
    records: list[Path],
    terms: UploadOptions,
    host: str,
    project_id: int,
    uploads: list[Path],
    batch: Path,
    finished: Path,
    sources: str,
    connections: int = CONNECTIONS,
) -> None:
    """Bring the boxes of many media in Tator to what their CSVs say; see scripts/lib/uploads/upload.py.

    What was verified is kept in `finished` under a key of all that it depends on, since Snakemake removes the files of
    a job that fails or is run again: of a media whose key is the same only the number of boxes is asked for.

    A media that is refused, or fails in a way that nobody foresaw, gets the state `failed`. One that fails because
    Tator does does not keep the others from being done, unless as many as are under way at once fail one
    after the other because Tator is not well: then no more are begun.

    Args:
        detections: the CSVs, one a media.
        outcomes: the records of their detection, in the same order.
        records: the records of resolve_media, in the same order.
        terms: what holds for every media.
        host: Tator's address.
        project_id: the project.
        uploads: where the outcomes go, in the same order.
        batch: where the hashes of these go, for the jobs that take all media.
        finished: the folder for what is verified.
        sources: hash of the program, a part of the key.
        connections: the most requests at once; fewer while Tator throttles.

    Raises:
        PipelineError: a file of an earlier job is gone.
        ServerError: some media could not be uploaded; it names them.
    """
    require([*detections, *outcomes, *records])
    done = Finished(finished, [sources, host, project_id, terms.key])
    project = Project(host, project_id, connections=connections)

    def upload(one: MediaInJob) -> None:
        kept = one.kept
        if done.restore(*kept) and still_stands(project, terms.where, one.upload):
            _log.info("media %d: verified by an earlier job", kept[0])
        else:
            try:
                upload_media(lambda: project, terms, **asdict(one))
            except Exception as error:
                if not of_one_media(error):
                    raise
                foreseen = isinstance(error, PipelineError)
                _log.warning("media %d: %s", kept[0], error, exc_info=None if foreseen else error)
                record_failed_upload(as_fault(error), one.record, one.upload)
            else:
                done.keep(*kept)

    begun: dict[Future[None], Path] = {}
    with ThreadPoolExecutor(connections) as pool:
        try:
            for csv, outcome, record, target in zip(detections, outcomes, records, uploads, strict=True):
                begun[pool.submit(upload, MediaInJob(csv, outcome, record, target))] = record
            failed = _wait(begun, connections)
        finally:
            for future in begun:
                future.cancel()
    if failed:
        raise ServerError(_names(failed, len(begun)))
    write_hashes(batch, uploads)


def record_failure(
    fault: MediaFault,
    *,
    detections: list[Path],
    outcomes: list[Path],
    records: list[Path],
    terms: UploadOptions,
    host: str,
    project_id: int,
    uploads: list[Path],
    batch: Path,
    finished: Path,
    sources: str,
    **_: object,
) -> None:
    """Write what upload_many writes where the job as a whole failed: what is verified stays, the others failed."""
    done = Finished(finished, [sources, host, project_id, terms.key])
    for one in map(MediaInJob, detections, outcomes, records, uploads):
        if not done.restore(*one.kept):
            record_failed_upload(fault, one.record, one.upload)
    write_hashes(batch, uploads)


def _wait(begun: dict[Future[None], Path], connections: int) -> dict[int, str | None]:
    """Wait for all media; return what failed, by media id: the reason, None for those not begun."""
    failed: dict[int, str | None] = {}
    unwell = 0
    for future in as_completed(begun):
        if future.cancelled():
            failed[read_json(begun[future])["media_id"]] = None
            continue
        try:
            future.result()
            unwell = 0
        except PipelineError as fault:
            media_id = read_json(begun[future])["media_id"]
            _log.warning("media %d: %s", media_id, fault)
            failed[media_id] = str(fault)
            unwell = unwell + 1 if isinstance(fault, ServerUnavailable) else 0
        if unwell == connections:
            for other in begun:
                other.cancel()
    return failed


def _names(failed: dict[int, str | None], count: int) -> str:
    tried = {media_id: reason for media_id, reason in sorted(failed.items()) if reason is not None}
    left = sorted(failed.keys() - tried.keys())
    reasons = "; ".join(f"media {media_id}: {reason}" for media_id, reason in list(tried.items())[:REASONS_SHOWN])
    names = f"{len(tried)} of {count} media were not uploaded ({', '.join(map(str, tried))}): {reasons}"
    names += "; for the others see the log" if len(tried) > REASONS_SHOWN else ""
    return names + (f"; not begun were {', '.join(map(str, left))}" if left else "")


if __name__ == "__main__":
    job.run(upload_many, snakemake, record_failure=record_failure)  # type: ignore[name-defined]
