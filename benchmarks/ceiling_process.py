"""One run of the section `ceiling`: `python -m benchmarks.ceiling_process WAY CLIP FOLDER CORES WIDTH HEIGHT PACE`.

WAY is `decode` (only decoding), `loop` (decoding, conversion and scaling in a plain loop), `step` (the detect step
with an engine without cost), `paced` (with an engine of a set pace) or `media` (the same, with the clip as several
media of one job). Writes a JSON object: seconds, seconds of processor time, frames.
"""

import json
import os
import resource
import sys
import time
from pathlib import Path
from unittest import mock

import av
import cv2
import numpy as np

from benchmarks.case import BATCH_SIZE, Case, step_arguments
from benchmarks.ceiling import MEDIA
from benchmarks.clips import SAMPLE
from benchmarks.network import anchors
from benchmarks.paced_engine import PacedEngine
from scripts import detect as step
from scripts.lib.boxes import Size
from scripts.lib.detection import media_job, network
from scripts.lib.files import read_json
from scripts.lib.preprocessing import preprocess
from scripts.lib.workflow.jobs import job

_CLASSES = 7  # the sample's
_OF_MEDIA = ("media", "records", "downloads", "detections", "outcomes", "previews")


def decode(clip: Path, threads: int, size: Size | None) -> int:
    """Decode a clip; return its number of frames.

    Args:
        clip: the video.
        threads: the decoder's number of threads.
        size: convert each frame and scale it to this size; None for neither.
    """
    frames = 0
    out = None if size is None else np.empty((size.height, size.width, 3), np.uint8)
    with av.open(str(clip)) as container:
        stream = container.streams.video[0]
        stream.codec_context.thread_type, stream.codec_context.thread_count = "FRAME", threads
        for frame in container.decode(stream):
            frames += 1
            if out is not None:
                preprocess.fit(np.asarray(frame.to_ndarray(format="bgr24", threads=1), np.uint8), out)
    return frames


def _processor_seconds() -> float:
    """Return the processor time of this process and of those that it started and that have ended."""
    used = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return sum(each.ru_utime + each.ru_stime for each in used)


def main(*words: str) -> None:
    """Run one way and print its times."""
    way, clip, folder, cores, width, height, pace = words
    count, size = int(cores), Size(int(width), int(height))
    os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[:count])
    cv2.setNumThreads(1)
    if way in ("decode", "loop"):
        wall, cpu = time.monotonic(), _processor_seconds()
        frames = decode(Path(clip), count, size if way == "loop" else None)
    else:
        # The graph is not read, as the engine replaces it.
        case = Case("paced", SAMPLE / "graph.pb", None, SAMPLE / "train.ini", size, 0.5)
        folders = [Path(folder) / str(number) for number in range(1, (MEDIA if way == "media" else 1) + 1)]
        each = [step_arguments(case, Path(clip), own, count, number) for number, own in enumerate(folders, 1)]
        files = {name: [one[name] for one in each] for name in _OF_MEDIA} if len(each) > 1 else {}
        arguments = job.bind(step.detect, each[0] | files)
        engine = PacedEngine(size, BATCH_SIZE, _CLASSES, len(anchors(size)), None if way == "step" else float(pace))
        wall, cpu = time.monotonic(), _processor_seconds()
        # The engine stands for one on a GPU, which leaves the cores to the decoders.
        with (
            mock.patch.object(network, "open_engine", return_value=engine),
            mock.patch.object(media_job, "runs_on_gpu", return_value=True),
        ):
            step.detect(**arguments)
        frames = 0
        for own in folders:
            record = read_json(own / "outcome.json")
            frames += record["frames"]["used"]
            if not record["boxes"] or record["state"] != "done":
                raise RuntimeError(f"the step ended as {record['state']}: {record['reason']}")
    wall, cpu = time.monotonic() - wall, _processor_seconds() - cpu
    sys.stdout.write(json.dumps({"wall": wall, "cpu": cpu, "frames": frames}))


if __name__ == "__main__":
    main(*sys.argv[1:])
