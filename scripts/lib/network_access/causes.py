"""Find the system's message for a failed connection."""

import re

# The prefix of urllib3: Http(host='localhost', port=9).
_POOL = re.compile(r"^\w{1,100}\([^()]{0,1000}\): ")


def innermost_cause(error: BaseException) -> str:
    """Return the innermost reason of a failed request, without addresses of files, which may be signed."""
    inside = [getattr(error, "reason", None), *error.args]
    for reason in inside:
        if isinstance(reason, BaseException):
            return innermost_cause(reason)
    message = _POOL.sub("", " ".join(str(error)[:10_000].split()))
    return message.partition("http")[0] or type(error).__name__
