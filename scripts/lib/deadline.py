"""End the process when a network does not come to an end: a loop in it may have none, and nothing can interrupt it.

The libraries that run networks do not hold Python's lock meanwhile, so a thread can watch them.
"""

import logging
import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager

# As in config.schema.yaml, for commands, which have no settings.
DEFAULT_SECONDS = 900.0

_seconds = [DEFAULT_SECONDS]
_log = logging.getLogger(__name__)


def allow(seconds: float) -> None:
    """Say how long a network may take for a batch, and for being made ready (detect.batch_timeout_seconds)."""
    _seconds[0] = seconds


@contextmanager
def watched(network: str, doing: str, batches: int = 1) -> Iterator[None]:
    """End this process with exit code 1 and a sentence when what is done within takes longer than that.

    Nothing can be cleaned up then: as after a kill, what was under way is there under no final name.

    Args:
        network: what the sentence calls it.
        doing: what it is busy with, such as `running a batch of 4 frames`.
        batches: times the limit, for work that is worth so many.
    """
    limit = _seconds[0] * batches
    timer = threading.Timer(limit, _end, [network, doing, limit])
    timer.daemon = True
    timer.start()
    try:
        yield
    finally:
        timer.cancel()


def _end(network: str, doing: str, limit: float) -> None:
    _log.critical(
        "%s: the network is still %s after %g seconds; expected it to be done: perhaps it has a loop that never ends. "
        "Take another network, or, where the machine is only slow, raise detect.batch_timeout_seconds",
        network,
        doing,
        limit,
    )
    logging.shutdown()
    os._exit(1)
