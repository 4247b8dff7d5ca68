"""Run jobs whose packages are in a separate environment.

With conda, Snakemake starts such a job in its environment. Without conda, the job looks for `.venv-convert` in the
workflow's folder and continues in that environment's Python.
"""

import importlib.util
import os
import sys
from pathlib import Path

from scripts.lib.errors import PipelineError

ROOT = Path(__file__).resolve().parents[4]
FOLDER, TARGET = ".venv-convert", "setup-convert"


def enter(package: str, root: Path = ROOT) -> None:
    """Restart this process in the separate environment, unless this one has the package or there is no other."""
    folder = root / FOLDER
    python = folder / "bin" / "python"
    if importlib.util.find_spec(package) is None and python.exists() and Path(sys.prefix) != folder:
        os.execv(python, [str(python), *sys.argv])  # noqa: S606 - no shell is needed


def require(package: str, root: Path = ROOT) -> None:
    """Check that a package is installed.

    Raises:
        PipelineError: it is not installed here, and `enter` found no other environment.
    """
    if importlib.util.find_spec(package) is None:
        raise PipelineError(
            f"{package} is neither in the environment of {sys.executable} nor in {root / FOLDER}; "
            f"run `make {TARGET}` in {root}, or use conda: --software-deployment-method conda"
        )
