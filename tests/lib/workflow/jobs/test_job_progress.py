"""Which media a killed job was processing."""

from pathlib import Path

import pytest

from scripts.lib.errors import MediaFault
from scripts.lib.workflow.jobs.job_progress import JobProgress

FAULT = MediaFault("failed", "its job was killed")


def test_a_single_media_is_fatal_and_several_are_suspects(tmp_path: Path) -> None:
    path = tmp_path / "folder" / "job.progress"
    first = JobProgress(path)
    for media_id in (1, 2, 3):
        first.begin(media_id)
    first.end(1)

    second = JobProgress(path)
    assert second.after_kill(FAULT) == [2, 3]
    assert second.fatal == {}
    second.begin(2)

    third = JobProgress(path)
    assert third.after_kill(FAULT) == []
    assert third.fatal == {2: FAULT.reason}
    third.begin(3)
    third.end(3)
    third.begin(4)

    fourth = JobProgress(path)
    assert fourth.after_kill(FAULT) == []
    assert fourth.fatal == {2: FAULT.reason, 4: FAULT.reason}

    fifth = JobProgress(path)
    with pytest.raises(MediaFault):
        fifth.after_kill(FAULT)
    assert fifth.fatal == {2: FAULT.reason, 4: FAULT.reason}
    fifth.clear()
    assert not path.exists()
    assert fifth.fatal == {}
