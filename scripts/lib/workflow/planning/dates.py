"""Correct dates in the future, as a wrong clock sets them, and detect changes of files named in the settings.

Snakemake compares dates. If a job's input is dated after the output that the job has just written, Snakemake ends the
run with an error, or repeats finished work.
"""

import os
from collections.abc import Iterable, Sequence
from contextlib import suppress
from datetime import datetime
from pathlib import Path
from typing import NamedTuple

_SECOND = 10**9  # nanoseconds
# Clocks of machines that share a disk may differ by this much, and no job is shorter.
_TOLERANCE = _SECOND
_ORDER = 1000  # nanoseconds between the new dates of two files: every file system can distinguish them


class DatedFile(NamedTuple):
    """A file and its modification date, in nanoseconds since 1970."""

    date: int
    path: Path


def in_the_future(folders: Iterable[Path], now: int) -> list[DatedFile]:
    """Return the files below the folders that are dated after `now`, in nanoseconds since 1970; the oldest first."""
    found: list[DatedFile] = []
    pending = [os.fspath(folder) for folder in folders]
    while pending:
        try:
            # A run of 100,000 media has 700,000 files: making a Path for each would take most of the time.
            with os.scandir(pending.pop()) as entries:
                for entry in entries:
                    if entry.is_dir(follow_symlinks=False):
                        pending.append(entry.path)
                    elif entry.is_file(follow_symlinks=False):
                        with suppress(FileNotFoundError):  # another process removed it
                            date = entry.stat(follow_symlinks=False).st_mtime_ns
                            if date > now + _TOLERANCE:
                                found.append(DatedFile(date, Path(entry.path)))
        except OSError:  # the folder does not exist, or this user may not read it
            continue
    return sorted(found)


def date_now(files: Sequence[DatedFile], now: int) -> None:
    """Set the dates of files to `now` or just before, in the same order; files of the same date get the same new date.

    Args:
        files: the files, the oldest first.
        now: the current time, in nanoseconds since 1970.
    """
    dates = sorted({file.date for file in files})
    new = {date: now - (len(dates) - at) * _ORDER for at, date in enumerate(dates, start=1)}
    for date, path in files:
        os.utime(path, ns=(new[date], new[date]))


def correct_run_files(folder: Path, now: int) -> str | None:
    """Set the dates of the run's files that are in the future to now, in the same order, so that no job runs again.

    Args:
        folder: the run's folder, in which no other run is working.
        now: the current time, in nanoseconds since 1970.

    Returns:
        A message for the user; None if there is no such file.
    """
    files = in_the_future([folder / "resources", folder / "results"], now)
    if not files:
        return None
    date_now(files, now)
    return (
        f"{_described(files, now)}: the clock was ahead when they were made, or is behind now. They get the current "
        "date, in the same order, and the run continues; set the clock of this machine if it is wrong"
    )


def warn_of_scripts(workflow: Path, now: int) -> str | None:
    """Return a message if the workflow's own scripts are dated in the future, otherwise None.

    Args:
        workflow: the folder of the Snakefile.
        now: the current time, in nanoseconds since 1970.
    """
    files = in_the_future([workflow / "scripts"], now)
    if not files:
        return None
    return (
        f"{_described(files, now)}: until then each run repeats all its work. Set the clock of this machine if it "
        f"is wrong, otherwise set their dates: find {workflow / 'scripts'} -type f -exec touch {{}} +"
    )


def fingerprints(paths: Iterable[Path]) -> dict[str, list[int]]:
    """Return size and date of each existing file; these also change when a file is replaced by an older one."""
    found = {}
    for path in paths:
        if path.is_file():
            state = path.stat()
            found[str(path)] = [state.st_size, state.st_mtime_ns]
    return found


def _described(files: Sequence[DatedFile], now: int) -> str:
    newest = files[-1]
    moments = (datetime.fromtimestamp(date / _SECOND).astimezone() for date in (newest.date, now))
    newest_text, now_text = (moment.isoformat(" ", "seconds") for moment in moments)
    count = "1 file is" if len(files) == 1 else f"{len(files)} files are"
    return f"{count} dated in the future, {newest.path} at {newest_text}, while the clock here says {now_text}"
