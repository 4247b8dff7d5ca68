"""A message that cannot be written ends the run in the main thread, and is dropped in others."""

import logging
import threading

import pytest

from scripts.lib.workflow.processes import closed_output


class ClosedOutput(logging.Handler):
    """Raises, as Snakemake's handler does, when its output is closed."""

    def emit(self, _record: logging.LogRecord) -> None:
        raise BrokenPipeError


def test_only_the_main_thread_is_told_that_the_output_is_closed() -> None:
    logger = logging.Logger("run")
    logger.addHandler(ClosedOutput())
    closed_output.ignore_in_threads(logger)
    raised: list[BaseException] = []

    def log() -> None:
        try:
            logger.error("a job failed")
        except BrokenPipeError as error:
            raised.append(error)

    thread = threading.Thread(target=log)
    thread.start()
    thread.join()
    assert not raised
    with pytest.raises(BrokenPipeError):
        logger.error("a job failed")
