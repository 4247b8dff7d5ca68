"""Read colours of transparent TIFFs as they are stored."""

import struct

_EXTRA_SAMPLES, _SHORT = 338, 3
_ASSOCIATED, _UNASSOCIATED = 1, 2


def with_stored_colours(content: bytes) -> bytes:
    """Return a TIFF whose transparency is declared to be part of the colours; otherwise libtiff darkens them by it."""
    order = ">" if content.startswith(b"MM") else "<"
    for entry in ("HHIH", "HHQH"):  # of TIFF and BigTIFF
        stored, declared = (
            struct.pack(order + entry, _EXTRA_SAMPLES, _SHORT, 1, kind) for kind in (_UNASSOCIATED, _ASSOCIATED)
        )
        content = content.replace(stored, declared)
    return content
