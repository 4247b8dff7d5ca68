"""Memory of a picture of 100 megapixels, as a whole and in tiles."""

import subprocess
import sys
from pathlib import Path

import cv2
import pytest

from scripts.lib.boxes import Size
from tests.scripts.test_detect_tiles import painted

pytestmark = pytest.mark.networks


PEAK = """
import sys
from pathlib import Path
from scripts.lib.detection import network
from tests.scripts.test_detect import Step
from tests.scripts.test_detect_tiles import Corners

def peak():
    status = Path("/proc/self/status").read_text()
    return int(status.partition("VmHWM:")[2].split()[0]) * 1024

network.open_engine = lambda *_, **__: Corners(8)
folder = Path(sys.argv[1])
Step(folder)(folder / "small.png", kind="image", batch_size=8, **Corners.settings)
before = peak()
outcome = Step(folder)(folder / "a.jpg", kind="image", batch_size=8, tiles=eval(sys.argv[2]), **Corners.settings)
assert outcome["state"] == "done" or sys.argv[2] == "None", outcome
print(peak() - before)
"""


@pytest.mark.timeout(600)
def test_memory_of_a_picture_of_100_megapixels(tmp_path: Path) -> None:
    """The decoded picture has 300 MB. Tiles add a batch, and the whole picture a copy, less than decoding takes."""
    cv2.imwrite(str(tmp_path / "small.png"), painted(Size(300, 200), (20, 20, 40, 40)))
    cv2.imwrite(str(tmp_path / "a.jpg"), painted(Size(10_000, 10_000), (7000, 8000, 7090, 8064)))
    peaks = {}
    sized = {"width": 640, "height": 360}
    for name, tiles in {"none": None, "tiles": sized | {"whole": False}, "both": sized}.items():
        done = subprocess.run(
            [sys.executable, "-c", PEAK, str(tmp_path), repr(tiles)],
            cwd=Path(__file__).parents[2], capture_output=True, text=True, timeout=300, check=False,
        )  # fmt: skip
        assert done.returncode == 0, done.stderr
        peaks[name] = int(done.stdout) / 1e6
    assert peaks["tiles"] < 400
    assert peaks["both"] < 700  # less than the 800 that are reserved for decoding a JPEG of this size
