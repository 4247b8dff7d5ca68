"""Export a network in the exporters' environment, and measure its package's own loop in turn with the workflow's."""

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
    """The environments in which networks are exported.

    Attributes:
        exporters: the environment of the packages, with their code in `code`.
        conversion: the environment with TensorFlow.
    """

    exporters: Path
    conversion: Path

    def command(self, name: str, folder: Path) -> list[str]:
        """Return the command that exports a network into a folder."""
        if NETWORKS[name].exporter == "tensorflow_api":
            return [str(self.conversion / "bin/python"), "-m", "tests.exporters.tensorflow_api", str(folder)]
        return [str(self.exporters / "bin/python"), "-m", "tests.exporters.networks", name, str(folder)]

    @property
    def variables(self) -> dict[str, str]:
        """The environment variables of the processes; they keep packages from installing or updating others."""
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
    """Export a network, and yield a function that measures the rate of its package's own loop.

    Args:
        name: the name of the network.
        environments: the environments to use.
        folder: the folder to write; `export.log` in it has the packages' output.

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
            # A network that has to be refused has no oracle to measure.
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
        # The process ends when its input is closed.
