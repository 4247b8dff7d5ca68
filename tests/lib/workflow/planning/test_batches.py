"""Which media share a job: the number of jobs fits the size of the run, and a run that grows keeps its batches."""

import pytest

from scripts.lib.workflow.planning.batches import batches, media_per_job, write_hashes


@pytest.mark.parametrize(
    ("count", "jobs"),
    [
        *[(1, 1), (7, 7), (60, (2, 8)), (1000, (2, 8)), (2000, (2, 8)), (10_000, (16, 32))],
        *[(30_000, (48, 96)), (100_000, (40, 80)), (1_000_000, (200, 400))],
    ],
)
def test_auto_makes_neither_too_many_nor_too_few_jobs(count, jobs):
    found = len(batches(range(1, count + 1), media_per_job("auto", count)))
    assert found == jobs if isinstance(jobs, int) else jobs[0] <= found <= jobs[1]


@pytest.mark.parametrize(
    ("count", "jobs"),
    [(1, 1), (8, 8), (500, 500), *((many, (30, 90)) for many in (501, 1000, 5000, 10_000, 100_000))],
)
def test_without_a_setting_many_media_share_as_many_jobs_as_a_cluster_can_use(count, jobs):
    found = len(batches(range(1, count + 1), media_per_job(None, count)))
    assert found == jobs if isinstance(jobs, int) else jobs[0] <= found <= jobs[1]


@pytest.mark.parametrize("count", [8, 500])
def test_media_that_shared_jobs_continue_to_share_them_without_a_setting(count):
    assert media_per_job(None, count, shared_before=True) > 1
    assert media_per_job(1, count, shared_before=True) == 1


def test_a_number_is_the_largest_size_of_a_batch():
    found = batches(range(1, 501), media_per_job(20, 500))
    assert [media_id for batch in found for media_id in batch] == list(range(1, 501))
    assert max(map(len, found)) == 20
    assert 6 <= 500 / len(found) <= 14


def test_one_media_more_changes_one_batch():
    ids = list(range(1, 1001))
    before, after = ({tuple(batch) for batch in batches(some, 64)} for some in (ids[:500] + ids[501:], ids))
    assert len(before - after) == 1


def test_hashes_change_with_a_file(tmp_path):
    files = [tmp_path / name for name in "ab"]
    for path in files:
        path.write_text("x")
    write_hashes(tmp_path / "1.json", files)
    files[1].write_text("y")
    write_hashes(tmp_path / "2.json", files)
    files[1].write_text("x")
    write_hashes(tmp_path / "3.json", files)
    first, second, third = ((tmp_path / f"{number}.json").read_text() for number in (1, 2, 3))
    assert first == third != second
