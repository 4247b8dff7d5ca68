"""Read JSON; whatever is wrong with it is one kind of error."""

import json
from typing import Any


def parse(text: str | bytes) -> Any:
    """Return what a JSON text holds.

    Raises:
        ValueError: it is not JSON, or nested too deeply, for which `json` has an error that is no ValueError.
    """
    try:
        return json.loads(text)
    except RecursionError:
        raise ValueError("it is nested too deeply") from None
