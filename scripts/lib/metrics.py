"""Progress counters in Prometheus's text format, for collectors of such files (node_exporter).

They are written only if TATOR_METRICS_FILE names a file. Counters add up over all runs, and also count media that are
processed again. Jobs that end at the same time write one after another.
"""

import fcntl
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


def count_media(state: str, frames: int, boxes: int, seconds: float) -> None:
    """Count a media whose detection has ended."""
    _add(
        {
            ("tator_detection_media", state): 1,
            ("tator_detection_frames", ""): frames,
            ("tator_detection_boxes", ""): boxes,
            ("tator_detection_seconds", ""): seconds,
        }
    )


def count_failure(rule: str) -> None:
    """Count a job that failed."""
    _add({("tator_detection_failed_jobs", rule): 1})


def _add(new: dict[tuple[str, str], float]) -> None:
    """Add to the counters, given by name and value of the label."""
    if not os.environ.get(VARIABLE):
        return
    from prometheus_client import CollectorRegistry, Counter, Gauge, generate_latest

    path = Path(os.environ[VARIABLE]).absolute()
    path.parent.mkdir(parents=True, exist_ok=True)
    with _locked(path):
        totals = _read(path)
        for counter_key, value in new.items():
            totals[counter_key] = totals.get(counter_key, 0.0) + value
        registry = CollectorRegistry()
        for name, (description, labels) in _COUNTERS.items():
            counter = Counter(name, description, labels, registry=registry)
            for (key, label), value in totals.items():
                if key == name:
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
