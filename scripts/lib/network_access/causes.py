"""Why a connection failed, in the words of the system."""

import re

# What urllib3 puts before: Http(host='localhost', port=9).
_POOL = re.compile(r"^\w{1,100}\([^()]{0,1000}\): ")


def innermost_cause(error: BaseException) -> str:
    """Return the innermost reason of a failed request, without any address of a file: a store's may be signed."""
    inside = [getattr(error, "reason", None), *error.args]
    for reason in inside:
        if isinstance(reason, BaseException):
            return innermost_cause(reason)
    words = _POOL.sub("", " ".join(str(error)[:10_000].split()))
    return words.partition("http")[0] or type(error).__name__
