"""The size in labels of a data image, which anybody may have written."""

import json

import pytest

from scripts.lib.boxes import Size
from scripts.lib.data_images import labels


def test_what_is_written_is_read():
    written = labels.of_size((640, 360))
    assert labels.size(written) == Size(640, 360)
    assert labels.of_config(json.dumps({"config": {"Labels": written}}).encode()) == written


@pytest.mark.parametrize("side", ["", "0", "-1", "6.4", "six", "9" * 400, "\u0666"])
def test_invalid_sizes_are_ignored(side):
    assert labels.size({**labels.of_size((640, 360)), f"{labels.PREFIX}.img_min_side": side}) is None


@pytest.mark.parametrize(
    "content", [b"", b"\xff", b"[]", b"{}", b'{"config": null}', b'{"config": {"Labels": [1]}}', b"[" * 100_000]
)
def test_a_configuration_without_labels_has_no_size(content):
    assert labels.size(labels.of_config(content)) is None
