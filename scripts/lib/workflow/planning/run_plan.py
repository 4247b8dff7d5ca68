"""Derive from the settings what the rules need: the network's files, which media share a job, which files are kept."""

from array import array
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from hashlib import blake2b
from pathlib import Path
from typing import Any

from scripts.lib.detection import calibration
from scripts.lib.errors import SettingsError
from scripts.lib.folder_source.listing import ListedFile
from scripts.lib.folder_source.run_listing import LISTING, digest
from scripts.lib.workflow.planning import batch_check, batches, media_files
from scripts.lib.workflow.planning.network_plan import NetworkPlan, last_name

# Options of a tracking job: the fields of TrackOptions.
_TRACK_OPTIONS = ("method", "low_threshold", "high_threshold", "min_iou", "min_length", "max_gap")


@dataclass(frozen=True)
class RunPlan(NetworkPlan):
    """The plan of a run, made without any request to a server.

    Attributes:
        config: the checked settings, of NetworkPlan.
        by_storage: whether files go from job to job through a storage, so that a job has nothing but its inputs.
        files: the files of the user's folder; None if the media are in Tator.
        detects: whether the run detects; not if the folder does not exist and only its earlier boxes are uploaded.
    """

    by_storage: bool
    files: Sequence[ListedFile] | None = None
    detects: bool = True

    @cached_property
    def media_ids(self) -> list[int]:
        """The requested media, in their order."""
        if self.files is not None:
            return [file.media_id for file in self.files]
        media_ids: list[int] = self.config["tator"]["media_ids"]
        return media_ids

    @property
    def from_folder(self) -> bool:
        """Whether the media are files of the user's folder."""
        return self.files is not None

    @property
    def uploads(self) -> bool:
        """Whether boxes are uploaded to Tator."""
        return not self.from_folder or self.config["upload"]["match"] is not None

    @property
    def matches(self) -> dict[str, str]:
        """The record of a file's match in Tator, for `input:` of its upload; empty if the media are in Tator."""
        return {"matches": "resources/matches/{media_id}.json"} if self.from_folder else {}

    def matches_of(self, first: int) -> dict[str, str]:
        """Return the same for the media of a shared job, named by its first media."""
        return {name: pattern.format(media_id=first) for name, pattern in self.matches.items()}

    @property
    def every_match(self) -> list[str]:
        """The files of matches: one for each media, or one for each shared job."""
        firsts = [media_ids[0] for media_ids in self.shared_jobs] or self.media_ids
        return self.of(firsts, "resources/matches/{media_id}.json")

    @property
    def place(self) -> dict[str, Any]:
        """Where the media's files are, for `params:`: the site and project of Tator, or the listing of a folder."""
        if self.from_folder:
            return {"listing": str(LISTING)}
        return {key: self.config["tator"][key] for key in ("host", "project_id")}

    @property
    def site(self) -> dict[str, Any]:
        """The site and project of Tator, for `params:`; empty in a run on a folder."""
        return {} if self.from_folder else self.place

    @property
    def dataset(self) -> str | None:
        """What ids of media begin with in a table of many surveys; None for Tator's host and project."""
        named: str | None = self.config["export"]["dataset"]
        if named is not None or not self.from_folder:
            return named
        # The id of a file depends only on its path below the folder, and cameras use the same names again and again.
        return last_name(self.config["media"]["folder"])

    @property
    def truth_in_tator(self) -> dict[str, Any]:
        """Where true boxes are in Tator, for `params:`; empty in a run on a folder."""
        if self.from_folder:
            return {}
        upload = {key: self.config["upload"][key] for key in ("localization_type_id", "species_attribute")}
        return {**self.place, **upload, "truth_version": self.config["evaluate"]["truth_version"]}

    @property
    def track_truth_in_tator(self) -> dict[str, Any]:
        """Where true tracks are in Tator, for `params:`; empty in a run on a folder."""
        if self.from_folder:
            return {}
        version = {"track_truth_version": self.config["evaluate"]["track_truth_version"]}
        return {**self.place, "localization_type_id": self.config["upload"]["localization_type_id"], **version}

    @property
    def true_versions(self) -> dict[str, int]:
        """The versions in Tator with true boxes and tracks, by the setting that names them."""
        versions = {f"evaluate.{key}": self.config["evaluate"][key] for key in ("truth_version", "track_truth_version")}
        return {setting: version for setting, version in versions.items() if version is not None}

    @property
    def count_attributes(self) -> dict[str, str]:
        """The attribute of the media that gets the counts of a species, by species; empty in a run on a folder."""
        attributes: dict[str, str] = {} if self.from_folder else self.config["counts"]["attributes"]
        return attributes

    @property
    def counts_in_tator(self) -> list[str]:
        """The record of the counts that became attributes of the media; empty without counts.attributes."""
        return ["results/counts_in_tator.json"] if self.count_attributes else []

    @property
    def records_of_tator(self) -> dict[str, str]:
        """The records of the destination and the marks, for `input:`; empty if no boxes are uploaded."""
        return {"marks": "results/marks.json", "destination": "resources/destination.json"} if self.uploads else {}

    @property
    def reported(self) -> list[str]:
        """The files of each media that the report shows, as names of batches.OF_EACH_MEDIA."""
        return ["records", "outcomes", "detections", "previews", *self.in_tator("uploads")]

    @property
    def listing(self) -> dict[str, Any]:
        """The listing of the folder, for `params:` of jobs that read its files; empty if the media are in Tator."""
        return self.place if self.from_folder else {}

    @cached_property
    def _files_by_id(self) -> dict[int, ListedFile]:
        return {file.media_id: file for file in self.files or ()}

    def files_digest(self, media_ids: Iterable[int]) -> str:
        """Return a hash that changes when one of the folder's files with these numbers changes, is added or removed."""
        return digest(self._files_by_id[media_id] for media_id in media_ids)

    def in_tator(self, *names: str) -> list[str]:
        """Return these names of a rule's files if boxes are uploaded to Tator, otherwise none."""
        return list(names) if self.uploads else []

    @property
    def of_each_media(self) -> Mapping[str, tuple[str, str]]:
        """The files that this run makes for each media; see batches.OF_EACH_MEDIA."""
        more = batches.OF_EACH_TRACKED_MEDIA if self.config["track"]["enabled"] else {}
        uploaded = batches.OF_EACH_MEDIA_WITH_TRACKS_IN_TATOR if self.track_uploads else {}
        return batches.OF_EACH_MEDIA | more | uploaded

    @property
    def tracks(self) -> tuple[str, ...]:
        """The name of the records of tracks among the files of each media; empty without tracking."""
        return ("tracks",) if self.config["track"]["enabled"] else ()

    @property
    def track_uploads(self) -> tuple[str, ...]:
        """The name of the records of tracks' uploads among the files of each media; empty if none are uploaded."""
        uploads = bool(self.tracks) and self.config["upload"]["track_type_id"] is not None and not self.from_folder
        return ("track_uploads",) if uploads else ()

    @property
    def finished_tracks(self) -> tuple[str, ...]:
        """The name of the last records about a media's tracks: of their upload, or of tracking if none are uploaded."""
        return self.track_uploads or self.tracks

    @property
    def boxes_that_fill_gaps(self) -> dict[str, str]:
        """The boxes of a media's tracks, as the input `track_boxes`, if interpolated ones are uploaded; else empty."""
        is_uploaded = self.track_uploads and self.config["track"]["fill_gaps"]
        return {"track_boxes": "results/tracks/{media_id}.csv"} if is_uploaded else {}

    @property
    def without_tracks(self) -> dict[str, list[str]]:
        """The value for the records of tracks in the parameters of a rule without tracking."""
        return {} if self.tracks else {"tracks": []}

    @property
    def tracks_in_pictures(self) -> bool:
        """Whether the report shows pictures of tracks."""
        return bool(self.tracks) and self.config["report"]["tracks"] > 0

    @property
    def track_options(self) -> dict[str, Any]:
        """The options of a tracking job: TrackOptions in scripts/lib/tracking/trackers.py."""
        return {key: self.config["track"][key] for key in _TRACK_OPTIONS}

    @property
    def track_truth_file(self) -> list[str]:
        """The file of true tracks in the settings; empty if there is none."""
        file = self.config["evaluate"]["track_truth_file"]
        return [file] if file else []

    @property
    def tracks_evaluated(self) -> bool:
        """Whether true tracks are set."""
        return any(self.config["evaluate"][key] for key in ("track_truth_version", "track_truth_file"))

    @property
    def counts_threshold(self) -> float:
        """The least score of a box that counts: the upload's, unless the settings name another."""
        setting = self.config["counts"]["threshold"]
        threshold = self.config["upload"]["threshold"] if setting is None else setting
        return float(max(threshold, self.config["detect"]["keep_threshold"]))

    @property
    def calibration_media(self) -> list[int]:
        """The media whose frames are used to quantize the network; those of an earlier run if it chose some."""
        setting = self.config["detect"]["calibration_media"]
        unknown = [number for number in setting or () if self.from_folder and number not in self._files_by_id]
        if unknown:
            raise SettingsError(
                f"detect.calibration_media: {', '.join(map(str, unknown))} is not among the files of media.folder; "
                "expected numbers of results/media.csv"
            )
        drift = Path("resources/network/int8/drift.json")
        return calibration.choose(setting, self.media_ids, drift)

    @property
    def truth_file(self) -> list[str]:
        """The file of true boxes in the settings; empty if there is none."""
        file = self.config["evaluate"]["truth_file"]
        return [file] if file else []

    @property
    def evaluated(self) -> bool:
        """Whether true boxes are set."""
        return any(self.config["evaluate"][key] for key in ("truth_version", "truth_file"))

    @cached_property
    def shared_jobs(self) -> list[list[int]]:
        """The media of each shared job, maybe one; empty if media do not share jobs."""
        setting = self.config["media"]["per_job"]
        if setting is None and self.config["detect"]["split_seconds"] is not None:
            return []  # a media has several jobs then
        # Otherwise a run whose media shared jobs would detect in all of them again when it shrinks.
        shared_before = not self.by_storage and batch_check.BATCHES.is_dir()
        most = batches.media_per_job(setting, len(self.media_ids), shared_before=shared_before)
        # Shared jobs of one media each, so that a small run keeps its results when it grows, or if it has shrunk.
        shares_later = shared_before if setting is None else setting == "auto" and not self.by_storage
        return batches.batches(self.media_ids, most) if most > 1 or shares_later else []

    @property
    def inputs_are_hashes(self) -> bool:
        """Whether jobs have the hashes of files as their input, instead of the files."""
        return bool(self.shared_jobs) and not self.by_storage

    @property
    def outputs_hidden_from_snakemake(self) -> bool:
        """Whether files of single media are not outputs of shared jobs; some rules need them as input."""
        needed = self.config["export"]["crops"] or self.config["detect"]["precision"] == "int8"
        return self.inputs_are_hashes and not needed

    @cached_property
    def in_folders(self) -> bool:
        """Whether the files of single media are in sub-folders; never if Snakemake knows their paths."""
        return self.outputs_hidden_from_snakemake and len(self.media_ids) > media_files.MOST_IN_A_FOLDER

    @cached_property
    def order(self) -> str:
        """A hash of the media's numbers in their order."""
        return blake2b(array("q", self.media_ids).tobytes(), digest_size=16).hexdigest()

    @property
    def shared_jobs_keep_files(self) -> bool:
        """Whether shared jobs keep the downloaded files; for crops, download_media downloads them again."""
        return bool(self.config["media"]["keep_files"]) and not self.config["export"]["crops"]

    @property
    def media_of_shared_jobs(self) -> str:
        """The path of a media's file in shared jobs: not that of download_media, if the jobs remove the file again."""
        return "resources/media/{media_id}" if self.shared_jobs_keep_files else "resources/media_of_jobs/{media_id}"

    def of(self, media_ids: list[int], pattern: str) -> list[str]:
        """Return the pattern's file for each of these media."""
        return [pattern.format(media_id=media_id) for media_id in media_ids]

    def every(self, pattern: str) -> list[str]:
        """Return the pattern's file for each media, in the requested order."""
        return self.of(self.media_ids, pattern)

    def hash_files(self, names: tuple[str, ...]) -> list[str]:
        """Return the files of hashes of all jobs that make these files, given as names of batches.OF_EACH_MEDIA."""
        steps = dict.fromkeys(self.of_each_media[name][1] for name in names)
        return [f"resources/batches/{step}_{media_ids[0]}.json" for step in steps for media_ids in self.shared_jobs]

    def hash_file(self, name: str, first: int) -> str:
        """Return the file of hashes of the job that makes these files for a batch, named by its first media."""
        return f"resources/batches/{self.of_each_media[name][1]}_{first}.json"

    def each_file(self) -> list[str]:
        """Return each file of all media that rules for all media read, or the jobs' files of hashes instead."""
        if self.outputs_hidden_from_snakemake:
            return self.hash_files(tuple(self.made_of_each_media))
        return [path for pattern, _ in self.made_of_each_media.values() for path in self.every(pattern)]

    @property
    def made_of_each_media(self) -> dict[str, tuple[str, str]]:
        """The entries of `of_each_media` that this run makes."""
        left_out = () if self.in_tator("uploads") else ("uploads",)
        return {name: entry for name, entry in self.of_each_media.items() if name not in left_out}
