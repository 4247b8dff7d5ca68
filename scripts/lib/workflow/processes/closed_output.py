"""Let a run end whose output nobody reads any more, as with `| head`, instead of waiting forever."""

import logging
import threading
from collections.abc import Callable
from functools import partial


def ignore_in_threads(logger: logging.Logger) -> None:
    """Drop the messages of threads other than the main one when the output is closed.

    Snakemake's handler raises BrokenPipeError then. In the main thread it ends the run. In another thread it would skip
    the rest of the function that reports the end of a job, which Snakemake would await forever (Snakemake 9.27).
    """
    for handler in logger.handlers:
        handler.emit = partial(_emit, handler.emit)  # type: ignore[method-assign]


def _emit(emit: Callable[[logging.LogRecord], None], record: logging.LogRecord) -> None:
    try:
        emit(record)
    except BrokenPipeError:
        if threading.current_thread() is threading.main_thread():
            raise
