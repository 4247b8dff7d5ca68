"""Folders in an S3-compatible store whose upload was interrupted by the loss of the driver."""

import asyncio
import logging
from types import SimpleNamespace

import pytest

from tests.object_store import ACCESS_KEY, SECRET_KEY, client_of, started_store

pytestmark = [pytest.mark.clusters, pytest.mark.service]

PREFIX = "s3://bucket/run"


@pytest.fixture
def store():
    with started_store("bucket") as address:
        yield address


@pytest.fixture
def driver(store):
    """Return the check that a driver makes before it starts Snakemake; it returns what was logged."""
    import s3_store

    def start():
        logged = []
        environ = dict(zip((*s3_store.KEYS, s3_store.ENDPOINT), (ACCESS_KEY, SECRET_KEY, store), strict=True))
        for check in (s3_store.problem_of_options, lambda *given: s3_store.remove_unfinished(*given, logged.append)):
            assert check(["--default-storage-prefix", PREFIX], environ) == ""
        return logged

    return start


@pytest.fixture
def output(store, tmp_path):
    """Return a function that returns an output of a job, a folder unless it is said, as Snakemake would."""
    from snakemake_storage_plugin_s3 import StorageObject, StorageProvider, StorageProviderSettings

    settings = StorageProviderSettings(endpoint_url=store, access_key=ACCESS_KEY, secret_key=SECRET_KEY)
    provider = StorageProvider(tmp_path, logging.getLogger(), settings=settings)

    def made(name, is_directory=True):
        one = StorageObject(f"{PREFIX}/{name}", keep_local=False, retrieve=True, provider=provider)
        return SimpleNamespace(is_directory=is_directory, is_storage=True, storage_object=one)

    return made


@pytest.fixture
def executor(monkeypatch):
    """Return our executor, and the jobs that were started, failed and succeeded."""
    import snakemake_executor_plugin_kubernetes as official
    from snakemake_executor_plugin_kubernetes_steady import Executor

    seen = SimpleNamespace(started=[], failed=[], succeeded=[])
    executor = object.__new__(Executor)
    executor.workflow = SimpleNamespace(storage_settings=SimpleNamespace(default_storage_prefix=PREFIX))
    executor._stopping = SimpleNamespace(is_set=lambda: False)
    executor._delete = lambda _: None
    executor._keep_log = lambda *_: ([], "")
    executor.logger = logging.getLogger()
    executor.report_job_success = lambda info: seen.succeeded.append(info.job)
    executor.report_job_error = lambda info, **_: seen.failed.append(info.job)
    executor.status_rate_limiter = asyncio.Lock()
    monkeypatch.setattr(official.Executor, "run_job", lambda _, job: seen.started.append(job))
    return executor, seen


def job_of(*outputs):
    return SimpleNamespace(rules=["crop_boxes"], resources={}, output=outputs)


def ended(executor, job, *, succeeded):
    """Have the executor notice that a job has ended."""
    from snakemake_executor_plugin_kubernetes_steady import Ended, SubmittedJobInfo

    async def check():
        return [info async for info in executor.check_active_jobs([SubmittedJobInfo(job, external_jobid="1")])]

    executor._state = lambda _: Ended(succeeded, "it failed")
    assert asyncio.run(check()) == []


def upload(output):
    """Store a folder of two files as a job does."""
    folder = output.storage_object.local_path()
    (folder / "labels").mkdir(parents=True)
    for name in ("a.jpg", "labels/b.txt"):
        (folder / name).write_text(name)
    output.storage_object.store_object()


def keys(store):
    return {entry["Key"] for entry in client_of(store).list_objects_v2(Bucket="bucket")["Contents"]}


@pytest.mark.parametrize("failed", [False, True])
def test_a_folder_that_was_not_uploaded_completely_is_removed_by_the_next_driver(
    store, driver, output, executor, failed
):
    """For Snakemake a folder exists as soon as the store has one of its files."""
    executor, seen = executor
    assert driver() == []
    done, lost = job_of(output("results/crops/12")), job_of(output("results/crops/1"), output("results/1.csv", False))
    for job in (done, lost):
        executor.run_job(job)
        upload(job.output[0])
    ended(executor, done, succeeded=True)
    if failed:
        ended(executor, lost, succeeded=False)
    assert (seen.started, seen.succeeded, seen.failed) == ([done, lost], [done], [lost] * failed)
    client_of(store).delete_object(Bucket="bucket", Key="run/results/crops/1/a.jpg")
    client_of(store).put_object(Bucket="bucket", Key="run/unfinished/", Body=b"")  # a folder, made in a web page
    assert output("results/crops/1").storage_object.exists(), "Snakemake would not make it again"
    complete = {"run/run-started", "run/unfinished/", "run/results/crops/12/a.jpg", "run/results/crops/12/labels/b.txt"}
    noted = {"run/unfinished/results/crops/1", "run/results/crops/1/labels/b.txt"}
    assert keys(store) == complete | noted

    assert driver() == ["results/crops/1 may be incomplete, as an earlier driver was lost; it is made again"]
    assert not output("results/crops/1").storage_object.exists()
    assert keys(store) == complete
    assert driver() == []


def test_a_job_whose_folder_cannot_be_noted_is_not_started(store, output, executor, caplog):
    executor, seen = executor
    job = job_of(output("results/yolo"))
    client_of(store).delete_bucket(Bucket="bucket")
    executor.run_job(job)
    assert (seen.started, seen.failed) == ([], [job])
    # A note that cannot be removed costs only the work of making the folder again.
    ended(executor, job, succeeded=True)
    assert seen.succeeded == [job]
    assert "the store refused or did not answer for run/unfinished/results/yolo: NoSuchBucket" in caplog.text


def test_nothing_is_noted_without_a_storage(executor):
    executor, seen = executor
    executor.workflow.storage_settings.default_storage_prefix = None
    job = job_of(SimpleNamespace(is_directory=True, is_storage=False))
    executor.run_job(job)
    ended(executor, job, succeeded=True)
    assert (seen.started, seen.succeeded) == ([job], [job])
