"""Detect the objects of one media."""

import logging
import time
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any, get_args

from scripts.lib import train_ini
from scripts.lib.backends import open_engine
from scripts.lib.backends.base import Engine
from scripts.lib.detections import DetectionWriter, video_id
from scripts.lib.errors import GraphError, MediaFault, MediaState
from scripts.lib.files import read_json, replacing, sha256, write_json
from scripts.lib.frame_source import FrameSource, Summary
from scripts.lib.frames import open_frames
from scripts.lib.pipeline import Counts, detect_frames
from scripts.lib.retinanet import Size

log = logging.getLogger(__name__)


def detect(
    *,
    media: Path,
    record: Path,
    download: Path,
    graph: Path,
    train_ini: Path,
    provenance: Path,
    detections: Path,
    outcome: Path,
    img_max_side: int,
    img_min_side: int,
    keep_threshold: float,
    batch_size: int,
    engine: str,
    threads: int,
    cache: Path | None = None,
) -> None:
    ...
