"""The driver's entry point before it starts Snakemake: its variables, and the store of the run."""

import os
import subprocess
import sys

import pytest

from tests.faults.hosts import host, reply
from tests.object_store import ACCESS_KEY, SECRET_KEY, client_of, started_store
from tests.workflow import ROOT

KEYS = {"SNAKEMAKE_STORAGE_S3_ACCESS_KEY": f"{ACCESS_KEY}\n", "SNAKEMAKE_STORAGE_S3_SECRET_KEY": f"{SECRET_KEY}\n"}
NEEDED = {
    "TATOR_API_SERVICE": "https://tator.example.org/rest",
    "TATOR_AUTH_TOKEN": "t0ken\n",
    "TATOR_MEDIA_IDS": "1",
    "TATOR_PROJECT_ID": "2",
}
SNAKEMAKE = """
import json, os
names = ("TATOR_AUTH_TOKEN", "SNAKEMAKE_STORAGE_S3_ACCESS_KEY", "SNAKEMAKE_STORAGE_S3_SECRET_KEY", "http_proxy")
print(json.dumps([os.environ.get(name) for name in names]))
"""


@pytest.fixture
def run(tmp_path):
    """Return a function that runs the entry point with a program in place of Snakemake: exit code and output."""
    (tmp_path / "snakemake").mkdir()
    (tmp_path / "snakemake" / "__init__.py").touch()
    (tmp_path / "snakemake" / "__main__.py").write_text(SNAKEMAKE)

    def started(*options, **environ):
        kept = {name: os.environ[name] for name in ("PATH", "HOME", "LANG") if name in os.environ}
        done = subprocess.run(
            [sys.executable, ROOT / "deploy" / "entrypoint.py", "run", *options],
            cwd=tmp_path,
            env=kept | {"PYTHONPATH": str(tmp_path)} | NEEDED | environ,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=60,
            check=False,
        )
        assert "Traceback" not in done.stdout
        return done.returncode, done.stdout

    return started


@pytest.fixture(scope="module")
def store():
    with started_store("tator-detection") as address:
        yield address


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"TATOR_AUTH_TOKEN": "two w0rds"}, "TATOR_AUTH_TOKEN empty, or with blanks or other characters"),
        ({"TATOR_AUTH_TOKEN": "\n"}, "TATOR_AUTH_TOKEN not set"),
        ({"SNAKEMAKE_STORAGE_S3_SECRET_KEY": "s3c\nr3t"}, "SNAKEMAKE_STORAGE_S3_SECRET_KEY empty, or with blanks"),
        ({"SNAKEMAKE_STORAGE_S3_ACCESS_KEY": ""}, "SNAKEMAKE_STORAGE_S3_ACCESS_KEY empty, or with blanks"),
    ],
)
def test_secrets_that_no_header_can_contain_are_refused_and_not_shown(run, changed, message):
    code, text = run("default", **changed)
    assert (code, message in text) == (2, True), text
    assert not any(value.strip() and value in text for value in changed.values())


@pytest.mark.parametrize("name", ["HTTPS_PROXY", "all_proxy"])
def test_a_proxy_whose_password_would_be_in_messages_is_refused_and_not_shown(run, name):
    code, text = run("default", **{name: "http://user:pa55/word@proxy.example.org:3128"})
    assert (code, text.startswith(f"{name}: a login with / ? or #; expected %2F")) == (2, True), text
    assert not any(part in text for part in ("user", "pa55", "word"))


@pytest.mark.service
def test_line_breaks_at_the_end_of_secrets_do_not_reach_snakemake(run, store):
    """Files from which a Secret is made often end with one."""
    prefix = "s3://tator-detection/run-1"
    environ = KEYS | {
        "SNAKEMAKE_STORAGE_S3_ENDPOINT_URL": store,
        "http_proxy": "http://proxy\n",
        "NO_PROXY": "127.0.0.1",
    }
    code, text = run("kubernetes-s3", "--default-storage-prefix", prefix, **environ)
    assert (code, text) == (0, '["t0ken", "key", "s3cr3t", "http://proxy"]\n')
    # A file of the run that stays: the storage plugin removes a bucket with its last file.
    found = client_of(store).list_objects_v2(Bucket="tator-detection")["Contents"]
    assert [entry["Key"] for entry in found] == ["run-1/run-started"]


@pytest.mark.service
def test_a_folder_of_a_store_with_files_of_other_settings_is_refused(store):
    """A new driver has no record of the settings that the files were made with."""
    import s3_store

    options = ["--default-storage-prefix", "s3://tator-detection/run-2"]
    environ = NEEDED | {name: value.strip() for name, value in KEYS.items()}
    environ |= {"SNAKEMAKE_STORAGE_S3_ENDPOINT_URL": store, "TATOR_PIPELINE_ARGS": '{"keep_threshold": 0.5}'}
    assert s3_store.problem_of_options(options, environ) == ""
    for name, value in {"TATOR_PIPELINE_ARGS": "{}", "TATOR_MEDIA_IDS": "1,2", "IMAGE": "workflow:2"}.items():
        found = s3_store.problem_of_options(options, environ | {name: value})
        assert found.startswith("s3://tator-detection/run-2 has files of other settings, of other media or of")
    assert s3_store.problem_of_options([*options, "--config", "upload={}"], environ)
    # A new driver of the same run, with a renewed token.
    assert s3_store.problem_of_options([*options, "--jobs", "3"], environ | {"TATOR_AUTH_TOKEN": "another"}) == ""


@pytest.mark.service
def test_a_misspelt_bucket_is_named_and_not_made(run, store):
    prefix = "s3://tator-detectoin/run-1"
    code, text = run(
        "kubernetes-s3", f"--default-storage-prefix={prefix}", SNAKEMAKE_STORAGE_S3_ENDPOINT_URL=store, **KEYS
    )
    assert code == 2
    expected = (
        f"bucket 'tator-detectoin' at {store} answered 404; there is no such bucket: correct s3_bucket, or make it\n"
    )
    assert text == expected
    assert [one["Name"] for one in client_of(store).list_buckets()["Buckets"]] == ["tator-detection"]


@pytest.mark.parametrize(
    ("status", "message"),
    [
        (403, "answered 403; the keys are wrong, or lack a right that docs/kubernetes.md lists: correct the Secret"),
        (400, "answered 400; the request is refused: correct s3_region or s3_bucket"),
        (404, "answered 404; there is no such bucket"),
    ],
)
def test_a_store_that_refuses_is_reported(status, message):
    import s3_store

    environ = {name: value.strip() for name, value in KEYS.items()}
    with host(lambda handler: reply(handler, status, b"")) as (address, _):
        environ["SNAKEMAKE_STORAGE_S3_ENDPOINT_URL"] = address.replace("//", "//user:pa55word@")
        found = s3_store.problem("s3://bucket/run", environ)
    assert f"bucket 'bucket' at {address} {message}" in found
    assert "pa55word" not in found


@pytest.mark.parametrize("prefix", ["s3://b/run", "s3://A b/run"])
def test_a_store_that_cannot_be_asked_is_reported(prefix, monkeypatch):
    import s3_store

    monkeypatch.setattr(s3_store, "ATTEMPTS", 1)
    environ = {name: value.strip() for name, value in KEYS.items()}
    environ["SNAKEMAKE_STORAGE_S3_ENDPOINT_URL"] = "http://127.0.0.1:9"
    assert "cannot be used: " in s3_store.problem(prefix, environ)
