"""Run jobs whose packages are in a separate environment.

With conda Snakemake itself starts such a job there. Without it, the job looks for `.venv-convert` in the workflow's
folder and continues in that environment's Python.
"""

import importlib.util
import os
import sys
from pathlib import Path

from scripts.lib.errors import PipelineError

ROOT = Path(__file__).resolve().parents[4]
FOLDER, TARGET = ".venv-convert", "setup-convert"


def enter(package: str, root: Path = ROOT) -> None:
    """Restart this process in the environment that has a package, unless this one has it or there is none."""
    folder = root / FOLDER
    python = folder / "bin" / "python"
    if importlib.util.find_spec(package) is None and python.exists() and Path(sys.prefix) != folder:
        os.execv(python, [str(python), *sys.argv])  # noqa: S606 - no shell is needed


def require(package: str, root: Path = ROOT) -> None:
    """Refuse to continue without a package.

    Raises:
        PipelineError: it is not installed here, and `enter` found no other environment.
    """
    if importlib.util.find_spec(package) is None:
        raise PipelineError(
            f"{package} is neither in the environment of {sys.executable} nor in {root / FOLDER}; "
            f"run `make {TARGET}` in {root}, or use conda: --software-deployment-method conda"
        )
