"""What comes is summed as Tator sums it, and written whole."""

import io
from pathlib import Path

import pytest
from tator.util import md5sum

from scripts.lib.downloads import transfer
from scripts.lib.downloads.part_file import write_all


@pytest.mark.parametrize("size", [1, 1000, transfer.SUMMED_BYTES, transfer.SUMMED_BYTES + 1])
def test_sum_is_tator_s_own(tmp_path: Path, size: int) -> None:
    path = tmp_path / "a"
    with path.open("wb") as stream:
        stream.truncate(size)
    with path.open("rb") as stream:
        assert transfer._md5(stream) == md5sum(str(path))


def test_disk_that_takes_a_part_is_asked_again() -> None:
    class Reluctant(io.BytesIO):
        def write(self, content) -> int:  # type: ignore[no-untyped-def]
            return super().write(content[:3])

    part = Reluctant()
    write_all(part, b"0123456789")
    assert part.getvalue() == b"0123456789"
