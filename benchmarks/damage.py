"""Print how many holes in videos are noticed, for each format: `python -m benchmarks.damage`."""

import argparse
import logging
import os
import tempfile
from pathlib import Path

from tests.damage_sweep import FORMATS, sweep


def main() -> None:
    """Print the table of docs/evidence.md."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--holes", type=int, default=45, help="holes for each format and filling (45)")
    parser.add_argument("--seed", type=int, default=0, help="seed of the positions of the holes (0)")
    parser.add_argument("formats", nargs="*", metavar="FORMAT", help="only these formats")
    options = parser.parse_args()
    if unknown := set(options.formats) - FORMATS.keys():
        parser.error(f"{', '.join(unknown)}: expected some of {', '.join(FORMATS)}")
    logging.disable(logging.CRITICAL)
    os.dup2(os.open(os.devnull, os.O_WRONLY), 2)  # FFmpeg's messages on each hole
    of_zeros = "holes of zeros | changed | noticed | reported although nothing changed"
    print(f"| format | {of_zeros} | random bytes | changed | noticed |")
    print("|---|---|---|---|---|---|---|---|", flush=True)
    with tempfile.TemporaryDirectory() as folder:
        for name in options.formats or FORMATS:
            zeros, noise = (sweep(Path(folder), name, options.holes, options.seed, zeros=z) for z in (True, False))
            print(
                f"| {name} | {zeros.holes} | {zeros.changed} | {zeros.changed - zeros.missed} "
                f"| {zeros.reported_unchanged} | {noise.holes} | {noise.changed} | {noise.changed - noise.missed} |",
                flush=True,
            )


if __name__ == "__main__":
    main()
