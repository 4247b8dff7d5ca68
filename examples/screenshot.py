"""Take the picture of a run's report for README; run by `make screenshot`, after the demo."""

import argparse
import shutil
import sys
from pathlib import Path

from playwright.sync_api import sync_playwright

from tests.browser import FLAGS
from tests.workflow import ROOT

WIDTH, HEIGHT = 1100, 2010
LARGEST_BYTES = 300_000


def take(page: Path, picture: Path) -> None:
    """Write the upper part of a page as a JPEG file.

    Args:
        page: the HTML file.
        picture: the file to write, of WIDTH x HEIGHT pixels.

    Raises:
        SystemExit: Chromium is not installed, or the picture is too large for README.
    """
    chromium = shutil.which("chromium")
    if chromium is None:
        raise SystemExit("chromium is not installed; install it, for example Debian's package chromium")
    with sync_playwright() as programs:
        browser = programs.chromium.launch(executable_path=chromium, args=FLAGS)
        tab = browser.new_page(viewport={"width": WIDTH, "height": HEIGHT})
        tab.goto(page.resolve().as_uri())
        tab.screenshot(path=picture, type="jpeg", quality=80)
        browser.close()
    if picture.stat().st_size > LARGEST_BYTES:
        raise SystemExit(f"{picture}: {picture.stat().st_size} bytes; expected at most {LARGEST_BYTES}")


def main() -> int:
    """Take the picture; return the exit code."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--page", type=Path, default=ROOT / "demo" / "results" / "overview.html")
    parser.add_argument("--picture", type=Path, default=ROOT / "docs" / "report.jpg")
    options = parser.parse_args()
    take(options.page, options.picture)
    print(options.picture)
    return 0


if __name__ == "__main__":
    sys.exit(main())
