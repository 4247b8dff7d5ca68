"""Exports a network in the exporters' environment, and measures its package's own loop while the workflow's runs."""

import os
import shutil
import subprocess
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from tests.exporters.families import NETWORKS
from tests.exporters.oracle_file import RATE, READY, THREADS, Rates

ROOT = Path(__file__).parents[2]


@dataclass(frozen=True)
class Environments:
    """Where networks are exported.

    Attributes:
        exporters: the environment of the packages, with their code in `code`.
        conversion: the one that has TensorFlow.
    """

    exporters: Path
    conversion: Path

    def command(self, name: str, folder: Path) -> list[str]:
        """Return what exports a network into a folder."""
        if NETWORKS[name].exporter == "tensorflow_api":
            return [str(self.conversion / "bin/python"), "-m", "tests.exporters.tensorflow_api", str(folder)]
        return [str(self.exporters / "bin/python"), "-m", "tests.exporters.networks", name, str(folder)]

    @property
    def variables(self) -> dict[str, str]:
        """What its processes see; the packages would look for newer versions, and install others themselves."""
        return {
            **os.environ,
            "PYTHONPATH": f"{ROOT}{os.pathsep}{self.exporters / 'code'}",
            "YOLO_CONFIG_DIR": str(self.exporters / "ultralytics"),
            "YOLO_AUTOINSTALL": "false",
            "YOLO_OFFLINE": "true",
            "HF_HUB_OFFLINE": "1",
            "OMP_NUM_THREADS": str(THREADS),
        }


@contextmanager
def exported(name: str, environments: Environments, folder: Path) -> Iterator[Callable[[], Rates]]:
    """Export a network, and yield what measures how many frames a second its package's own loop does.

    Args:
        name: of the network.
        environments: where.
        folder: to write; `export.log` there has what the packages say.

    Raises:
        RuntimeError: it was not exported.
    """
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    with (folder / "export.log").open("w") as log, subprocess.Popen(
        environments.command(name, folder), cwd=folder, env=environments.variables, text=True,
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=log,
    ) as process:  # fmt: skip

        def answer(mark: str) -> str:
            for line in process.stdout or ():
                if line.startswith(mark):
                    return line.removeprefix(mark).strip()
                log.write(line)
            # What is refused has no oracle to measure.
            if process.wait() or not (folder / "oracle.npz").exists():
                raise RuntimeError(f"{name}: was not exported; {folder / 'export.log'} says why")
            return ""

        def rate() -> Rates:
            if process.stdin is None:
                raise RuntimeError("the process has no input")
            process.stdin.write("again\n")
            process.stdin.flush()
            return Rates(*map(float, answer(RATE).split()))

        answer(READY)
        yield rate
        # It ends when its input does.
