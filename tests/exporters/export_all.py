"""Exports every network in the exporters' environment, each in a process of its own; those that are there stay.

python -m tests.exporters.export_all ENVIRONMENT CONVERSION FOLDER; CONVERSION is the environment that has TensorFlow.
"""

import os
import subprocess
import sys
from pathlib import Path

from tests.exporters.families import NETWORKS

ROOT = Path(__file__).parents[2]


def main() -> int:
    """Return 0 when all are there."""
    environment, conversion, folder = (Path(argument).absolute() for argument in sys.argv[1:])
    variables = {
        **os.environ,
        "PYTHONPATH": f"{ROOT}{os.pathsep}{environment / 'code'}",
        # They would look for newer versions, and install packages themselves.
        "YOLO_CONFIG_DIR": str(environment / "ultralytics"),
        "YOLO_AUTOINSTALL": "false",
        "YOLO_OFFLINE": "true",
        "HF_HUB_OFFLINE": "1",
    }
    failed = []
    for name in NETWORKS:
        target = folder / name
        if (target / "oracle.npz").exists():
            continue
        target.mkdir(parents=True, exist_ok=True)
        command = [str(environment / "bin/python"), "-m", "tests.exporters.networks", name, str(target)]
        if NETWORKS[name].exporter == "tensorflow_api":
            command = [str(conversion / "bin/python"), "-m", "tests.exporters.tensorflow_api", str(target)]
        if subprocess.run(command, cwd=target, env=variables, check=False).returncode:
            failed.append(name)
    if failed:
        sys.stderr.write(f"not exported: {', '.join(failed)}\n")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
