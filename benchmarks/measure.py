"""Measure on a machine with other load: actions take turns, and the load of other programs is recorded."""

import math
import os
import statistics
import subprocess
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

# A round is disturbed if other programs use more processor time than this, in cores.
QUIET_CORES = 0.15
_SAMPLE_SECONDS = 0.1


@dataclass(frozen=True)
class Usage:
    """The time and memory that an action used.

    Attributes:
        wall: elapsed seconds.
        cpu: seconds of processor time on all cores.
        others: average number of cores used by other programs.
        pss: peak memory of a process and its descendants in bytes, with shared pages counted once; 0 if not measured.
        output: the process's output.
    """

    wall: float
    cpu: float
    others: float
    pss: int = 0
    output: str = ""


def measured(action: Callable[[], object]) -> Usage:
    """Measure a function of this process."""
    busy, wall, cpu = _busy(), time.monotonic(), time.process_time()
    action()
    wall, cpu = time.monotonic() - wall, time.process_time() - cpu
    return Usage(wall, cpu, (_busy() - busy - cpu) / wall)


def measured_process(
    command: Sequence[str], *, directory: Path, environ: Mapping[str, str] | None = None, watch_memory: bool = False
) -> Usage:
    """Measure a process and its descendants, from its start to its end.

    Args:
        command: the process's command.
        directory: its working directory.
        environ: its environment; None for that of this process.
        watch_memory: also measure its memory, which takes some processor time.

    Raises:
        RuntimeError: the process failed; the message has the end of its errors.
    """
    with tempfile.TemporaryFile() as output, tempfile.TemporaryFile() as errors:
        busy, wall = _busy(), time.monotonic()
        process = subprocess.Popen(
            command, cwd=directory, env=environ, stdin=subprocess.DEVNULL, stdout=output, stderr=errors
        )
        pss = _watch(process.pid) if watch_memory else 0
        _, status, used = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
        wall, cpu = time.monotonic() - wall, used.ru_utime + used.ru_stime
        others = (_busy() - busy - cpu) / wall
        for stream in (output, errors):
            stream.seek(0)
        if process.returncode:
            raise RuntimeError(f"{' '.join(command)} ended with {process.returncode}: {errors.read().decode()[-3000:]}")
        return Usage(wall, cpu, others, pss, output.read().decode())


def in_turns(
    actions: Sequence[Callable[[], Usage]], rounds: int, patience: int, seconds: float = math.inf
) -> list[list[Usage]]:
    """Measure actions in turn, in reverse order every second round; return the least disturbed rounds in time order.

    Args:
        actions: the actions to compare.
        rounds: number of rounds to return.
        patience: largest number of further rounds, to replace disturbed ones.
        seconds: time after which disturbed rounds are no longer replaced.
    """
    ends = time.monotonic() + seconds
    done: list[list[Usage]] = []
    while len(done) < rounds + patience and sum(map(quiet, done)) < rounds:
        if len(done) >= rounds and time.monotonic() >= ends:
            break
        order = actions if len(done) % 2 == 0 else actions[::-1]
        usages = [action() for action in order]
        done.append(usages if order is actions else usages[::-1])
    calmest = sorted(range(len(done)), key=lambda index: max(usage.others for usage in done[index]))[:rounds]
    return [done[index] for index in sorted(calmest)]


def quiet(usages: Sequence[Usage]) -> bool:
    """Return whether a round was not disturbed by other programs."""
    return all(usage.others < QUIET_CORES for usage in usages)


def spread(values: Sequence[float]) -> dict[str, float]:
    """Return minimum, median and maximum of some values."""
    return {"min": min(values), "median": statistics.median(values), "max": max(values)}


def cores() -> int:
    """Return the number of processor cores that this process may use."""
    return len(os.sched_getaffinity(0))


def _busy() -> float:
    """Return the busy seconds of this machine's cores since it started, including those of other virtual machines."""
    user, nice, system, _, _, irq, softirq, steal = map(
        int, Path("/proc/stat").read_text(encoding="ascii").split("\n", 1)[0].split()[1:9]
    )
    return (user + nice + system + irq + softirq + steal) / os.sysconf("SC_CLK_TCK")


def _watch(pid: int) -> int:
    """Return the peak memory of a process and its descendants, measured until it ends."""
    peak = 0
    while os.waitid(os.P_PID, pid, os.WEXITED | os.WNOWAIT | os.WNOHANG) is None:
        peak = max(peak, sum(map(_pss, _tree(pid))))
        time.sleep(_SAMPLE_SECONDS)
    return peak


def _tree(pid: int) -> list[int]:
    """Return a process and its descendants."""
    found = [pid]
    for one in found:
        for children in Path(f"/proc/{one}/task").glob("*/children"):
            try:
                found += map(int, children.read_text(encoding="ascii").split())
            except (FileNotFoundError, ProcessLookupError):
                continue  # the thread has ended
    return found


def _pss(pid: int) -> int:
    """Return a process's share of memory in bytes; 0 if it has ended."""
    try:
        text = Path(f"/proc/{pid}/smaps_rollup").read_text(encoding="ascii")
    except (FileNotFoundError, ProcessLookupError):
        return 0
    return int(text.partition("\nPss:")[2].split()[0]) * 1024
