"""Jobs whose packages stand in an environment of their own.

With conda Snakemake itself starts such a job there. Without, the job looks for `.venv-convert` beside the workflow
and goes on in that one's Python.
"""

import importlib.util
import os
import sys
from pathlib import Path

from scripts.lib.errors import PipelineError

ROOT = Path(__file__).resolve().parents[3]
FOLDER, TARGET = ".venv-convert", "setup-convert"


def enter(package: str, root: Path = ROOT) -> None:
    """Start this process again in the environment that has a package, unless this one has it or there is none."""
    folder = root / FOLDER
    python = folder / "bin" / "python"
    if importlib.util.find_spec(package) is None and python.exists() and Path(sys.prefix) != folder:
        os.execv(python, [str(python), *sys.argv])  # noqa: S606 - there is no shell to wish for


def require(package: str, root: Path = ROOT) -> None:
    """Refuse to go on without a package.

    Raises:
        PipelineError: it is not installed here, and `enter` found no other place.
    """
    if importlib.util.find_spec(package) is None:
        raise PipelineError(
            f"{package} is neither in the environment of {sys.executable} nor in {root / FOLDER}; "
            f"run `make {TARGET}` in {root}, or use conda: --software-deployment-method conda"
        )
