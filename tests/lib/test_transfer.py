"""The checksum of a file equals Tator's."""

from pathlib import Path

import pytest
from tator.util import md5sum

from scripts.lib.tator_md5 import SUMMED_BYTES, tator_md5


@pytest.mark.parametrize("size", [1, 1000, SUMMED_BYTES, SUMMED_BYTES + 1])
def test_the_sum_equals_tators(tmp_path: Path, size: int) -> None:
    path = tmp_path / "a"
    with path.open("wb") as stream:
        stream.truncate(size)
    with path.open("rb") as stream:
        assert tator_md5(stream) == md5sum(str(path))
