"""The checksums of a file are the same as Tator's."""

from pathlib import Path

import pytest
from tator.util import md5sum

from scripts.lib.server.tator_md5 import IMPORTED_BYTES, SUMMED_BYTES, tator_md5


@pytest.mark.parametrize("size", [1, 1000, IMPORTED_BYTES + 1, SUMMED_BYTES, SUMMED_BYTES + 1])
def test_the_checksum_is_tators(tmp_path: Path, size: int) -> None:
    path = tmp_path / "a"
    with path.open("wb") as stream:
        stream.truncate(size)
    with path.open("rb") as stream:
        found = tator_md5(stream)
    assert found.uploaded == md5sum(str(path))
    with path.open("r+b") as stream:
        stream.truncate(min(size, IMPORTED_BYTES))  # what import_media downloads
    assert found.imported == md5sum(str(path), size)
