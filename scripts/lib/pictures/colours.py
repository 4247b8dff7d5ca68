"""Colours of species, the same in all pictures and pages; colour-blind people can distinguish them (Okabe, Ito)."""

# Without Okabe and Ito's yellow and sky blue, which are too light for lines and text on white.
PALETTE = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#8a6d00", "#000000", "#6f4fa3")


def colour(label: int) -> str:
    """Return the colour of a class, from 0, as `#rrggbb`; the palette repeats."""
    return PALETTE[label % len(PALETTE)]


def bgr(label: int) -> tuple[int, int, int]:
    """Return the colour of a class, from 0, as blue, green and red from 0 to 255."""
    text = colour(label)
    return int(text[5:7], 16), int(text[3:5], 16), int(text[1:3], 16)
