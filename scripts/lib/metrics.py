"""Progress counters in Prometheus's text format, for collectors of such files (node_exporter).

They are written only if TATOR_METRICS_FILE names a file. Counters increase over all runs, also when a media is
processed again; jobs that end at the same time write one after another. A file that cannot be read or written is
logged as a warning, as it must not cost a job its results.
"""

import fcntl
import logging
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from scripts.lib.files import replacing

VARIABLE = "TATOR_METRICS_FILE"
# name: (help, labels)
_COUNTERS = {
    "tator_detection_media": ("Media that detection ended for, by state.", ("state",)),
    "tator_detection_frames": ("Frames through the network.", ()),
    "tator_detection_boxes": ("Boxes found.", ()),
    "tator_detection_seconds": ("Seconds that detection jobs took.", ()),
    "tator_detection_failed_jobs": ("Jobs that failed, by rule.", ("rule",)),
}
_LAST = "tator_detection_last_change_timestamp_seconds"

_log = logging.getLogger(__name__)


def count_media(state: str, frames: int, boxes: int, seconds: float) -> None:
    """Count a media whose detection has ended."""
    _count(
        "this media",
        {
            ("tator_detection_media", state): 1,
            ("tator_detection_frames", ""): frames,
            ("tator_detection_boxes", ""): boxes,
            ("tator_detection_seconds", ""): seconds,
        },
    )


def count_failure(rule: str) -> None:
    """Count a job that failed."""
    _count("this failed job", {("tator_detection_failed_jobs", rule): 1})


def _count(what: str, new: dict[tuple[str, str], float]) -> None:
    if not (name := os.environ.get(VARIABLE)):
        return
    try:
        _add(Path(name).absolute(), new)
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) else f"it is not in Prometheus's text format: {error}"
        _log.warning("%s: %s: %s; correct the file or its rights; %s is not counted", VARIABLE, name, reason, what)


def _add(path: Path, new: dict[tuple[str, str], float]) -> None:
    """Add values to the counters in a file; the keys are the counter's name and the value of its label."""
    from prometheus_client import CollectorRegistry, Counter, Gauge, generate_latest

    path.parent.mkdir(parents=True, exist_ok=True)
    with _locked(path):
        totals = _read(path)
        for key, value in new.items():
            totals[key] = totals.get(key, 0.0) + value
        registry = CollectorRegistry()
        for name, (description, labels) in _COUNTERS.items():
            counter = Counter(name, description, labels, registry=registry)
            for (counted, label), value in totals.items():
                if counted == name:
                    (counter.labels(label) if labels else counter).inc(value)
        Gauge(_LAST, "When this file was last written.", registry=registry).set(time.time())
        with replacing(path, "wb") as stream:
            stream.write(generate_latest(registry))


def _read(path: Path) -> dict[tuple[str, str], float]:
    from prometheus_client.parser import text_string_to_metric_families

    if not path.exists():
        return {}
    return {
        (family.name, next(iter(sample.labels.values()), "")): sample.value
        for family in text_string_to_metric_families(path.read_text(encoding="utf-8"))
        for sample in family.samples
        if family.name in _COUNTERS and sample.name.endswith("_total")
    }


@contextmanager
def _locked(path: Path) -> Iterator[None]:
    with path.with_name(f".{path.name}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield
