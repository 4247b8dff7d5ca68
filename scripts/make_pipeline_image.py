"""The former name of `python -m scripts.commands.make_pipeline_image`; it is kept until version 0.2."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from scripts.commands.make_pipeline_image import main

if __name__ == "__main__":
    sys.stderr.write(
        "scripts.make_pipeline_image is now scripts.commands.make_pipeline_image; the old name ends with 0.2\n"
    )
    sys.exit(main())
