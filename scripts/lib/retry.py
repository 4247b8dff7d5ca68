"""Decide how often and for how long failing calls are retried."""

import logging
import math
import os
from collections.abc import Callable

import tenacity

from scripts.lib.errors import SettingsError
from scripts.lib.network_access.sessions import READ_SECONDS

PATIENCE_VARIABLE, PATIENCE_SECONDS = "TATOR_PATIENCE_SECONDS", 180.0
LONGEST_PAUSE_SECONDS = 30
ANSWER_VARIABLE = "TATOR_ANSWER_SECONDS"

_log = logging.getLogger(__name__)


def patience() -> float:
    """Return the number of seconds during which a call is tried again before its job gives up."""
    return _seconds(PATIENCE_VARIABLE, PATIENCE_SECONDS)


def answer_seconds() -> float:
    """Return the number of seconds after its connection ended in which the server may still carry out a write.

    Tator has no limit: its workers finish a request after the connection has ended. The limit used here is the longest
    time to wait for an answer (READ_SECONDS), tens of times as long as a request of 500 boxes takes on a busy server,
    and at most `patience()`. The next run finds and removes the results of later writes; see server/unanswered.py.
    """
    return _seconds(ANSWER_VARIABLE, min(float(READ_SECONDS), patience()))


def _seconds(variable: str, default: float) -> float:
    text = os.environ.get(variable) or str(default)
    try:
        seconds = float(text)
    except ValueError:
        seconds = math.nan
    if not seconds >= 0:  # also true for NaN
        raise SettingsError(f"{variable} is {text!r}; expected a number of seconds, 0 or more, such as {default:.0f}")
    return seconds


def retrying(
    *faults: type[Exception], beyond: float = 0.0, enough: Callable[[BaseException, int, float], bool] | None = None
) -> tenacity.Retrying:
    """Return the retry policy for these faults: growing pauses with jitter, logged, within `patience()`.

    Args:
        faults: the exceptions after which a call is tried again.
        beyond: seconds added to the patience, for calls that themselves have to wait.
        enough: function that returns whether to give up earlier, from a fault, the number of tries and their seconds.
    """
    limit = patience() + beyond

    def log(state: tenacity.RetryCallState) -> None:
        _log.warning(
            "%s; try %d, again in %.1f s (giving up %.0f s after the first)",
            state.outcome.exception() if state.outcome else "",
            state.attempt_number,
            state.upcoming_sleep,
            limit,
        )

    after_limit = tenacity.stop_before_delay(limit)

    def gives_up(state: tenacity.RetryCallState) -> bool:
        fault = state.outcome.exception() if state.outcome else None
        if enough is None or fault is None:
            return False
        return enough(fault, state.attempt_number, state.seconds_since_start or 0.0)

    return tenacity.Retrying(
        retry=tenacity.retry_if_exception_type(faults),
        wait=tenacity.wait_random_exponential(multiplier=0.5, max=LONGEST_PAUSE_SECONDS),
        stop=lambda state: gives_up(state) or after_limit(state),
        before_sleep=log,
        reraise=True,
    )
