"""The Jobs and the Secret that the executor makes, as an API server would check them."""

import base64
import json
from types import SimpleNamespace

import pytest
from kubernetes import client

from scripts.lib.workflow.configuration import settings
from tests.kube_server.argo import generate_name
from tests.kube_server.errors import ApiError
from tests.kube_server.validation import check

pytestmark = pytest.mark.clusters


def as_sent(body, kind, version):
    return {"apiVersion": version, "kind": kind, **client.ApiClient().sanitize_for_serialization(body)}


@pytest.fixture
def official_executor(monkeypatch):
    """Return a function that returns our executor, and the official one's bodies of a Secret and of a Job."""
    import snakemake_executor_plugin_kubernetes as official
    from snakemake_executor_plugin_kubernetes_steady import Executor

    def make(run, *claims, environ=None):
        monkeypatch.setenv("RUN_NAME", run)
        executor = object.__new__(Executor)
        executor.workflow = SimpleNamespace(
            executor_settings=SimpleNamespace(ttl_minutes=60, user=1000),
            storage_settings=SimpleNamespace(shared_fs_usage=frozenset()),
            deployment_settings=SimpleNamespace(deployment_method=frozenset()),
        )
        quiet = SimpleNamespace(debug=lambda _: None, info=lambda _: None)
        made = {"_made": set(), "_rules": set(), "_minutes": None, "logger": quiet, "secret_envvars": {}}
        made |= {"run_namespace": run, "namespace": "default", "container_image": "image", "privileged": False}
        made |= {"k8s_service_account_name": None, "k8s_cpu_scalar": 0.95, "format_job_exec": lambda _: "true"}
        made |= {"persistent_volumes": official.parse_persistent_volumes(list(claims))}
        made |= {"_kubernetes_retry": lambda func: func(), "report_job_submission": lambda _: None}
        bodies = []
        made["kubeapi"] = SimpleNamespace(create_namespaced_secret=lambda _, body: bodies.append(body))
        made["batchapi"] = SimpleNamespace(create_namespaced_job=lambda _, body: bodies.append(body))
        for name, value in made.items():
            monkeypatch.setattr(executor, name, value, raising=False)
        job = SimpleNamespace(resources={"_cores": 1}, jobid=1, attempt=1, is_containerized=False)
        monkeypatch.setattr(executor, "envvars", lambda: environ or {}, raising=False)
        official.Executor.register_secret(executor)
        official.Executor.run_job(executor, job)
        return executor, *bodies

    return make


@pytest.mark.parametrize("name", ["Detect fish in the benthic survey", "Detect fish 1.2", "Detect fish"])
def test_a_job_of_any_run_is_accepted(official_executor, name):
    """A claim's name may be longer than a volume's, and have dots."""
    run = f"{generate_name(12, 34, 56, name)}x7k2p"
    executor, _, body = official_executor(run, f"{run}-work:/work")
    if name != "Detect fish":
        with pytest.raises(ApiError, match=r"spec\.volumes\.name"):
            check(as_sent(body, "Job", "batch/v1"), restricted=True)
    job = as_sent(executor._adapted(body), "Job", "batch/v1")
    check(job, restricted=True)
    spec = job["spec"]["template"]["spec"]
    assert {"name": "work", "persistentVolumeClaim": {"claimName": f"{run}-work"}} in spec["volumes"]
    assert {"name": "work", "mountPath": "/work"} in spec["containers"][0]["volumeMounts"]


def test_each_claim_stays_at_its_place(official_executor):
    executor, _, body = official_executor("run", "a.b:/first", "work:/second")
    spec = as_sent(executor._adapted(body), "Job", "batch/v1")["spec"]["template"]["spec"]
    claims = {
        one["name"]: one["persistentVolumeClaim"]["claimName"]
        for one in spec["volumes"]
        if "persistentVolumeClaim" in one
    }
    mounts = {mount["mountPath"]: claims.get(mount["name"]) for mount in spec["containers"][0]["volumeMounts"]}
    assert mounts == {"/workdir": None, "/first": "a.b", "/second": "work", "/tmp": None}


def test_proxies_and_the_file_of_certificates_reach_a_job_through_the_secret(official_executor):
    environ = {"HTTPS_PROXY": "http://me:pa55word@proxy:3128", "AWS_CA_BUNDLE": "/etc/site.pem"}
    environ |= {"NO_PROXY": ".svc", "http_proxy": "http://me:pa55word@proxy:3128", "HTTP_PROXY": "http://old:3128"}
    passed = {name: environ[name] for name in settings.variables_in_use(environ)}
    executor, secret, body = official_executor("run", environ=passed)
    secret, job = as_sent(secret, "Secret", "v1"), as_sent(executor._adapted(body), "Job", "batch/v1")
    check(secret, restricted=True)
    check(job, restricted=True)
    seen = {}
    for variable in job["spec"]["template"]["spec"]["containers"][0]["env"]:
        source = variable["valueFrom"]["secretKeyRef"]
        assert source["name"] == secret["metadata"]["name"]
        seen[variable["name"]] = base64.b64decode(secret["data"][source["key"]]).decode()
    assert seen == {name: value for name, value in environ.items() if name != "HTTP_PROXY"}
    assert "pa55word" not in json.dumps(job)
