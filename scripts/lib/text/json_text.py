"""Parse JSON, and raise ValueError for every fault."""

import json
from typing import Any


def parse(text: str | bytes) -> Any:
    """Return the content of a JSON text.

    Raises:
        ValueError: the text is not JSON, or nested too deeply, for which `json` raises RecursionError.
    """
    try:
        return json.loads(text)
    except RecursionError:
        raise ValueError("it is nested too deeply") from None
