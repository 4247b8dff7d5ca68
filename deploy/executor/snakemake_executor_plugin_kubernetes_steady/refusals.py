"""Read why a Job has no pod, from the events that the Job controller writes when it may not create one."""

import re
from typing import Any

from kubernetes.client.exceptions import ApiException


def refusal(core: Any, namespace: str, job: Any) -> str:
    """Return why the last attempt to create a Job's pod failed; empty if no event says so.

    Without the right to list events there is no reason, and the run continues.
    """
    # By its uid: an earlier Job of the same name may have events too.
    selector = f"involvedObject.uid={job.metadata.uid}"
    try:
        events = core.list_namespaced_event(namespace, field_selector=selector).items
    except ApiException as error:
        if error.status == 403:
            return "it has no pod, and the driver may not list events: apply deploy/argo/base/role.yaml again"
        raise
    failed = [event for event in events if event.reason == "FailedCreate" and event.message]
    if not failed:
        return ""
    newest = max(failed, key=lambda event: str(event.last_timestamp or event.event_time or ""))
    # Each try has a pod name of its own; without it the same reason has the same words.
    return re.sub(r'pods "[^"]*" is', "its pod is", str(newest.message))
