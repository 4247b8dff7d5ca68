"""Watch a run: how many media are done, running and failed, how fast it is, and how long it will take.

    python -m scripts.commands.watch_run [FOLDER]

Only reads the run's files, so it works during a run on this machine or on a shared file system, and after a run. On a
terminal it updates one display; otherwise it writes a line every 30 seconds. It counts the media of the run that
holds Snakemake's lock, and ends when Snakemake has removed that lock. Without a lock it ends if the run's summary is
newer than all results, or if nothing changed for 10 minutes.
"""

import argparse
import sys
import time
from collections.abc import Iterator
from pathlib import Path

from rich.console import Console, Group
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from scripts.lib import command_line
from scripts.lib.errors import PipelineError
from scripts.lib.watching.watched_run import WatchedRun

_ROWS, _BAR = 15, 60
# A run's folder has at least one of these.
_OF_A_RUN = (".snakemake", "resources", "results")
# Seconds without a lock or a change after which no run is expected; Snakemake locks the folder once it has a plan.
_PATIENCE = 600.0


def _picture(run: WatchedRun) -> Group:
    """Return the progress for a terminal."""
    table = Table(box=None, padding=(0, 2, 0, 0), show_header=bool(run.jobs), header_style="dim")
    for column in ("media", "", "frames", "frames/s"):
        table.add_column(column, justify="left" if column in ("media", "") else "right")
    for job in run.jobs[:_ROWS]:
        expected = f" of {job.expected}" if job.expected else ""
        bar = ProgressBar(job.expected or None, min(job.frames, job.expected or 0), width=24, pulse=not job.expected)
        table.add_row(Text(job.name), bar, f"{job.frames}{expected}", f"{job.rate:.1f}" if job.rate else "")
    whole = Table.grid()  # in a table, as a bar alone does not end its line
    whole.add_row(ProgressBar(max(len(run.records), 1), len(run.outcomes), width=_BAR))
    return Group(whole, Text(run.line(), style="red" if run.failed else ""), table)


def watch_run(folder: Path, console: Console, pause: float, once: bool = False) -> None:
    """Show a run's progress until it ends.

    Args:
        folder: the run's folder.
        console: the console to print to.
        pause: seconds between two updates.
        once: whether to print once and return.

    Raises:
        PipelineError: there is no such folder, no run was started in it, or none is at work in it.
    """
    if not folder.is_dir():
        raise PipelineError(f"{folder}: is not a folder; expected that of a run")
    if not any((folder / name).exists() for name in _OF_A_RUN):
        raise PipelineError(f"{folder}: no run was started in it; name the folder of a run, or start the run first")
    run = WatchedRun(folder)
    run.update()
    if once or not console.is_terminal:
        console.print(run.line(), soft_wrap=True, highlight=False)
        for _ in () if once else _updates(run, pause):
            console.print(run.line(), soft_wrap=True, highlight=False)
        return
    with Live(_picture(run), console=console, auto_refresh=False) as live:
        for _ in _updates(run, pause):
            live.update(_picture(run), refresh=True)


def _updates(run: WatchedRun, pause: float) -> Iterator[None]:
    """Update a run's state and yield, again and again, until the run ends.

    Raises:
        PipelineError: no run holds the folder's lock, and nothing has changed for some time.
    """
    waited = 0.0
    while not run.ended:
        before = run.line()
        time.sleep(pause)
        run.update()
        yield
        waited = 0.0 if run.is_locked or run.line() != before else waited + pause
        if waited >= _PATIENCE and not run.ended:
            raise PipelineError(
                f"{run.folder}: no run has held Snakemake's lock, and nothing has changed, for {round(waited / 60)} "
                "minutes; start the run, or continue the one that was stopped, then watch it"
            )


def main(arguments: list[str] | None = None) -> int:
    """Watch the run that the command line names; return the exit code."""
    parser = command_line.Parser(
        prog="python -m scripts.commands.watch_run",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument(
        "folder", type=command_line.path, nargs="?", default=Path(), help="the run's folder (the current one)"
    )
    parser.add_argument("--once", action="store_true", help="print the progress once, and end")
    options = parser.parse_args(arguments)
    console = Console()
    pause = 1.0 if console.is_terminal else 30.0
    try:
        return command_line.run(lambda: watch_run(options.folder, console, pause, options.once))
    except KeyboardInterrupt:
        return 130


if __name__ == "__main__":
    sys.exit(main())
