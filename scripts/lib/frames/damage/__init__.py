"""Damage inside pictures that decoders ignore, found in what each format holds besides the pixels."""

from collections.abc import Callable

from scripts.lib.frames.damage import gif, jpeg, jpeg2000, png, tiff, webp

_FINDERS: dict[str, Callable[[bytes], str | None]] = {
    "GIF": gif.find_damage,
    "JPEG": jpeg.find_damage,
    "JPEG 2000": jpeg2000.find_damage,
    "PNG": png.find_damage,
    "TIFF": tiff.find_damage,
    "WebP": webp.find_damage,
}


def find_damage(kind: str, content: bytes) -> str | None:
    """Return what is damaged in a picture's file; None if nothing is found.

    Files that hold bare pixels (BMP, PNM, TIFF without compression) have nothing that tells one value from another:
    there only a missing end is found.

    Args:
        kind: the format, by a name of `pictures.py`.
        content: the file, whose header FFmpeg or this package could read.
    """
    finder = _FINDERS.get(kind)
    return finder(content) if finder is not None else None
