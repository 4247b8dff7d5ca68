"""Archives of images that are not as the programs that write them make them."""

import io
import json
import tarfile

import pytest

from scripts.lib.data_images.archive import ImageArchive
from scripts.lib.errors import GraphError


def test_annotations_that_are_not_an_object(tmp_path):
    index = {"manifests": [{"digest": "sha256:" + "a" * 64, "size": 1, "annotations": 5}]}
    raw = json.dumps(index).encode()
    with tarfile.open(tmp_path / "a.tar", "w") as archive:
        member = tarfile.TarInfo("index.json")
        member.size = len(raw)
        archive.addfile(member, io.BytesIO(raw))
    with pytest.raises(GraphError, match=r"blobs/sha256/aaa.* is missing"):
        ImageArchive(tmp_path / "a.tar", tmp_path).resolve(None)
