"""With how many threads a job may decode a video, and what decodes it: `detect.decode_threads`, `detect.decoder`."""

_most: list[int] = []
_decoder = ["cpu"]


def set_limit(threads: int | None) -> None:
    """Say with how many threads this process may decode at most; None for as many as whoever opens a video asks for."""
    _most[:] = [] if threads is None else [threads]


def limited(asked: int) -> int:
    """Return how many of the threads that are asked for may be taken."""
    return min([asked, *_most])


def set_decoder(name: str) -> None:
    """Say what decodes videos in this process: auto, cpu or nvdec; the pictures are the same."""
    _decoder[:] = [name]


def decoder() -> str:
    """Return what is to decode videos: auto, cpu or nvdec."""
    return _decoder[0]
