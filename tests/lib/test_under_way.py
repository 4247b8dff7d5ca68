"""Which media of a killed job were under way."""

from pathlib import Path

import pytest

from scripts.lib.errors import MediaFault
from scripts.lib.workflow.under_way import UnderWay

FAULT = MediaFault("failed", "its job was killed")


def test_one_alone_is_fatal_and_several_are_suspects(tmp_path: Path) -> None:
    path = tmp_path / "folder" / "job.under_way"
    first = UnderWay(path)
    for media_id in (1, 2, 3):
        first.begin(media_id)
    first.end(1)

    second = UnderWay(path)
    assert second.after_kill(FAULT) == [2, 3]
    assert second.fatal == {}
    second.begin(2)

    third = UnderWay(path)
    assert third.after_kill(FAULT) == []
    assert third.fatal == {2: FAULT.reason}
    third.begin(3)
    third.end(3)
    third.begin(4)

    fourth = UnderWay(path)
    assert fourth.after_kill(FAULT) == []
    assert fourth.fatal == {2: FAULT.reason, 4: FAULT.reason}

    fifth = UnderWay(path)
    with pytest.raises(MediaFault):
        fifth.after_kill(FAULT)
    assert fifth.fatal == {2: FAULT.reason, 4: FAULT.reason}
    fifth.clear()
    assert not path.exists()
    assert fifth.fatal == {}
