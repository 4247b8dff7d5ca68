"""The decoder of videos and its number of threads: `detect.decoder`, `detect.decode_threads`."""

_most: list[int] = []
_decoder = ["cpu"]


def set_limit(threads: int | None) -> None:
    """Set the largest number of decoding threads of this process; None for no limit."""
    _most[:] = [] if threads is None else [threads]


def limited(threads: int) -> int:
    """Return the requested number of threads, or the limit if that is smaller."""
    return min([threads, *_most])


def set_decoder(name: str) -> None:
    """Set the decoder of videos in this process: auto, cpu or nvdec; the pictures are the same."""
    _decoder[:] = [name]


def decoder() -> str:
    """Return the decoder of videos: auto, cpu or nvdec."""
    return _decoder[0]
