"""Convert the sample network to ONNX for other programs, and quantize it to int8.

It uses the workflow's functions, in the environment with their packages: `.venv-convert/bin/python -m
benchmarks.convert_sample FOLDER`.
"""

import json
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
SAMPLE = ROOT / "examples" / "aquarium"
WIDTH, HEIGHT = 640, 480
# The values in config/config.yaml.
THRESHOLD, CALIBRATION_FRAMES, MAX_DRIFT = 0.3, 150, 0.1


def make(folder: Path) -> None:
    """Write `graph.onnx`, `graph.xml` and `graph.bin` into a folder; this takes a minute or two."""
    python = ROOT / ".venv-convert" / "bin" / "python"
    command = [str(python), "-m", "benchmarks.convert_sample", str(folder)]
    done = subprocess.run(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False)
    if done.returncode:
        raise RuntimeError(f"{' '.join(command)} failed:\n{done.stdout}")


def main(folder: Path) -> None:
    """Convert the network, then quantize it."""
    from scripts.convert_network import convert_network
    from scripts.lib.records.record_files import write_record
    from scripts.quantize_network import quantize_network
    from tests.made_records import provenance

    size = {"img_max_side": WIDTH, "img_min_side": HEIGHT}
    convert_network(
        graph=SAMPLE / "graph.pb", onnx=folder / "graph.onnx", record=folder / "record.json", threads=2, **size
    )
    ready = {"media_id": 1, "state": "ready", "reason": None, "kind": "video", "name": "aquarium.mp4"}
    (folder / "ready.json").write_text(json.dumps(ready), encoding="utf-8")
    write_record(folder / "provenance.json", provenance("a benchmark"))
    quantize_network(
        media=[SAMPLE / "aquarium.mp4"],
        records=[folder / "ready.json"],
        downloads=[folder / "ready.json"],
        graph=SAMPLE / "graph.pb",
        train_ini=SAMPLE / "train.ini",
        provenance=folder / "provenance.json",
        quantized=folder / "graph.xml",
        weights=folder / "graph.bin",
        drift=folder / "drift.json",
        keep_threshold=THRESHOLD,
        nms=None,
        calibration_frames=CALIBRATION_FRAMES,
        max_drift=MAX_DRIFT,
        threads=2,
        img_max_side=size["img_max_side"],
        img_min_side=size["img_min_side"],
    )


if __name__ == "__main__":
    main(Path(sys.argv[1]))
