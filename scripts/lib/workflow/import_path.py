"""Where the processes of a run look for modules: not in the run's folder, where a file may be named numpy.py."""

import sys
from collections.abc import MutableMapping
from pathlib import Path

_VARIABLE = "PYTHONSAFEPATH"


def leave_out_current_folder(environ: MutableMapping[str, str]) -> None:
    """Have each Python that is started with this environment import nothing from its current or its script's folder.

    Snakemake starts jobs on clusters with `python -m` in the run's folder, and copies each script into
    .snakemake/scripts there. Both would be the first folder that Python searches.

    Args:
        environ: changed in place.
    """
    environ[_VARIABLE] = "1"


def forget_current_folder(workflow: Path) -> None:
    """Import nothing from the current folder in this process any more, unless it is the workflow's own.

    Args:
        workflow: the workflow's folder.
    """
    places = {"", str(Path.cwd())} - {str(workflow)}
    sys.path[:] = [entry for entry in sys.path if entry not in places]
