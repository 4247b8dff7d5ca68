"""The file in which a package's own prediction is kept."""

import time
from collections.abc import Callable
from pathlib import Path

import numpy as np

from tests.exporters.pictures import pictures

# Boxes, scores and labels of one picture.
Found = tuple[np.ndarray, np.ndarray, np.ndarray]
THRESHOLD = 0.3
_LOOPS = 5


def write(folder: Path, names: int, predict: Callable[[np.ndarray], Found], threshold: float = THRESHOLD) -> None:
    """Write the names and what the package's own prediction finds."""
    if not any((folder / name).exists() for name in ("config.json", "metadata.yaml")):
        (folder / "names.txt").write_text("".join(f"class {number}\n" for number in range(names)))
    found = {}
    for at, picture in enumerate(pictures()):
        for kind, values in zip(("boxes", "scores", "labels"), predict(picture), strict=True):
            found[f"{kind}_{at}"] = np.asarray(values)
    first = pictures()[0]
    started = time.perf_counter()
    for _ in range(_LOOPS):
        predict(first)
    rate = _LOOPS / (time.perf_counter() - started)
    np.savez(folder / "oracle.npz", rate=rate, threshold=threshold, **found)
