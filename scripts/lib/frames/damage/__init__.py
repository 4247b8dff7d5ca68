"""Find damage inside picture files that decoders ignore, with what each format contains besides the pixels."""

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
    """Return a description of the damage in a picture file; None if none is found.

    In files with uncompressed pixels (BMP, PNM, TIFF without compression) any value may be right, so only a missing end
    is found.

    Args:
        kind: the format's name, as in stills/picture_kinds.py.
        content: the file's content; FFmpeg or this package could read its header.
    """
    finder = _FINDERS.get(kind)
    return finder(content) if finder is not None else None
