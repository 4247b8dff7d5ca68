"""With how many threads a job may decode a video: `detect.decode_threads`."""

_most: list[int] = []


def set_limit(threads: int | None) -> None:
    """Say with how many threads this process may decode at most; None for as many as whoever opens a video asks for."""
    _most[:] = [] if threads is None else [threads]


def limited(asked: int) -> int:
    """Return how many of the threads that are asked for may be taken."""
    return min([asked, *_most])
