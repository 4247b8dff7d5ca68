"""The former name of `python -m scripts.commands.watch_run`; it is kept until version 0.2."""

import sys

from scripts.commands.watch_run import main

if __name__ == "__main__":
    sys.stderr.write("scripts.watch_run is now scripts.commands.watch_run; the old name ends with 0.2\n")
    sys.exit(main())
