"""How often and for how long something that fails is tried again."""

import logging
import os

import tenacity

from scripts.lib.errors import SettingsError

PATIENCE_VARIABLE, PATIENCE_SECONDS = "TATOR_PATIENCE_SECONDS", 180.0
LONGEST_PAUSE_SECONDS = 30

_log = logging.getLogger(__name__)


def patience() -> float:
    """Return for how many seconds a call is tried again before its job gives up."""
    text = os.environ.get(PATIENCE_VARIABLE) or str(PATIENCE_SECONDS)
    try:
        return float(text)
    except ValueError:
        raise SettingsError(f"{PATIENCE_VARIABLE} is {text!r}; expected a number of seconds") from None


def patiently(*faults: type[Exception]) -> tenacity.Retrying:
    """Return the retry policy for these faults: growing pauses with jitter, logged, within `patience()`."""
    limit = patience()

    def log(state: tenacity.RetryCallState) -> None:
        _log.warning(
            "%s; try %d, again in %.1f s (giving up %.0f s after the first)",
            state.outcome.exception() if state.outcome else "",
            state.attempt_number,
            state.upcoming_sleep,
            limit,
        )

    return tenacity.Retrying(
        retry=tenacity.retry_if_exception_type(faults),
        wait=tenacity.wait_random_exponential(multiplier=0.5, max=LONGEST_PAUSE_SECONDS),
        stop=tenacity.stop_before_delay(limit),
        before_sleep=log,
        reraise=True,
    )
