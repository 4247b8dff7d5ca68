"""The former name of `python -m scripts.commands.select_media`; it is kept until version 0.2."""

import sys

from scripts.commands.select_media import main

if __name__ == "__main__":
    sys.stderr.write("scripts.select_media is now scripts.commands.select_media; the old name ends with 0.2\n")
    sys.exit(main())
