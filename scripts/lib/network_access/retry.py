"""The policy for retrying calls that fail."""

import logging
import math
import os
from collections.abc import Callable, Mapping

import tenacity

from scripts.lib.errors import SettingsError
from scripts.lib.network_access.sessions import READ_SECONDS

PATIENCE_VARIABLE, PATIENCE_SECONDS = "TATOR_PATIENCE_SECONDS", 180.0
LONGEST_PAUSE_SECONDS = 30
ANSWER_VARIABLE = "TATOR_ANSWER_SECONDS"

_log = logging.getLogger(__name__)


def patience() -> float:
    """Return the number of seconds for which a call is retried before its job gives up."""
    return _seconds(PATIENCE_VARIABLE, PATIENCE_SECONDS)


def answer_seconds() -> float:
    """Return the number of seconds for which the server may still carry out a write after its connection ended.

    Tator has no limit: its workers finish a request after the connection has ended. The limit used here is the longest
    time to wait for an answer (READ_SECONDS), tens of times as long as a request of 500 boxes takes on a busy server,
    and at most `patience()`. The next run finds and removes the results of later writes; see server/unanswered.py.
    """
    return _seconds(ANSWER_VARIABLE, min(float(READ_SECONDS), patience()))


def check_variables(environ: Mapping[str, str]) -> None:
    """Check the variables with seconds before jobs read them.

    Raises:
        SettingsError: one of them is no number of seconds.
    """
    _seconds(PATIENCE_VARIABLE, PATIENCE_SECONDS, environ)
    _seconds(ANSWER_VARIABLE, READ_SECONDS, environ)


def _seconds(variable: str, default: float, environ: Mapping[str, str] = os.environ) -> float:
    text = environ.get(variable) or str(default)
    try:
        seconds = float(text)
    except ValueError:
        seconds = math.nan
    if not 0 <= seconds < math.inf:  # true for NaN too
        raise SettingsError(f"{variable} is {text!r}; expected a number of seconds, 0 or more, such as {default:.0f}")
    return seconds


def retrying(
    *faults: type[Exception],
    extra_seconds: float = 0.0,
    give_up: Callable[[BaseException, int, float], bool] | None = None,
) -> tenacity.Retrying:
    """Return the retry policy for these faults: growing pauses with jitter, logged, within `patience()`.

    Args:
        faults: exceptions after which the call is retried.
        extra_seconds: number of seconds added to `patience()`, for calls that wait before they are repeated.
        give_up: function of the last fault, the number of tries and the seconds since the first one; it returns
            whether to give up early.
    """
    limit = patience() + extra_seconds

    def log(state: tenacity.RetryCallState) -> None:
        _log.warning(
            "%s; try %d, again in %.1f s (giving up %.0f s after the first)",
            state.outcome.exception() if state.outcome else "",
            state.attempt_number,
            state.upcoming_sleep,
            limit,
        )

    too_late = tenacity.stop_before_delay(limit)

    def early(state: tenacity.RetryCallState) -> bool:
        fault = state.outcome.exception() if state.outcome else None
        if give_up is None or fault is None:
            return False
        return give_up(fault, state.attempt_number, state.seconds_since_start or 0.0)

    return tenacity.Retrying(
        retry=tenacity.retry_if_exception_type(faults),
        wait=tenacity.wait_random_exponential(multiplier=0.5, max=LONGEST_PAUSE_SECONDS),
        stop=lambda state: early(state) or too_late(state),
        before_sleep=log,
        reraise=True,
    )
