"""Labels of boxes on a picture, and colours of the pages."""

import re

from scripts.lib.pages.drawn_boxes import DrawnBox, PagePicture
from tests.workflow import ROOT


def test_labels_of_wide_letters_do_not_overlap_and_stay_in_the_picture():
    boxes = [DrawnBox(x, 0.5, 0.1, 0.1, label="大きい魚 0.90", colour="#000000") for x in (0.1, 0.3, 0.9)]
    labels = PagePicture("data:,", 160, 90, boxes, title="", why="", link=None).labels
    assert len(labels) == 2
    assert labels[0].width == 13 * 0.019
    assert labels[1].x + labels[1].width <= 1


def test_links_in_the_darkest_cells_of_maxn_can_be_read():
    """Text has at least the contrast that WCAG 2 demands at level AA."""
    pages = ROOT / "scripts" / "lib" / "pages"
    [link] = re.findall(r"--link: #(\w{6})", (pages / "style.css").read_text())
    cell, parts = re.search(
        r"rgb\((.+?) / \{\{ '%.2f' % \((.+?) \* media", (pages / "counts.html").read_text()
    ).groups()
    opacity = sum(map(float, parts.split(" + ")))  # of the largest MaxN, whose shade is 1
    background = [255 * (1 - opacity) + opacity * float(value) for value in cell.split()]
    contrast = (_luminance(background) + 0.05) / (_luminance(bytes.fromhex(link)) + 0.05)
    assert contrast >= 4.5


def _luminance(colour):
    linear = [
        value / 255 / 12.92 if value / 255 <= 0.03928 else ((value / 255 + 0.055) / 1.055) ** 2.4 for value in colour
    ]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]
