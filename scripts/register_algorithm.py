"""The former name of `python -m scripts.commands.register_algorithm`; it is kept until version 0.2."""

import sys

from scripts.commands.register_algorithm import main

if __name__ == "__main__":
    sys.stderr.write(
        "scripts.register_algorithm is now scripts.commands.register_algorithm; the old name ends with 0.2\n"
    )
    sys.exit(main())
