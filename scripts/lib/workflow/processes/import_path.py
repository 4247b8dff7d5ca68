"""Keep the run's folder, which may contain a file such as numpy.py, out of the import path of a run's processes."""

import sys
from collections.abc import MutableMapping
from pathlib import Path

_VARIABLE = "PYTHONSAFEPATH"


def leave_out_current_folder(environ: MutableMapping[str, str]) -> None:
    """Stop each Python that is started with this environment from importing from its current or its script's folder.

    Snakemake starts jobs on clusters with `python -m` in the run's folder, and copies each script into
    .snakemake/scripts in that folder. Python would search these folders first.

    Args:
        environ: changed in place.
    """
    environ[_VARIABLE] = "1"


def forget_current_folder(workflow: Path) -> None:
    """Stop importing from the current folder in this process, unless it is the workflow's own.

    Args:
        workflow: the workflow's folder.
    """
    unwanted = {"", str(Path.cwd())} - {str(workflow)}
    sys.path[:] = [entry for entry in sys.path if entry not in unwanted]
