"""The former name of `python -m scripts.commands.compare_runs`; it is kept until version 0.2."""

import sys

from scripts.commands.compare_runs import main

if __name__ == "__main__":
    sys.stderr.write("scripts.compare_runs is now scripts.commands.compare_runs; the old name goes with version 0.2\n")
    sys.exit(main())
