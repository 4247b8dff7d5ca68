"""A Kubernetes cluster in one process, for tests: API server, Job controller, garbage collector, scheduler, kubelet.

It serves the requests of the unmodified Snakemake executor and of this repository's programs, and really starts each
pod, in a bubblewrap sandbox with only its image, its volumes and the machine's network. It is as strict as a cluster in
the points that have caused errors:

- TLS, service account tokens and RBAC: 401, 403; names that are taken: 409; objects with unknown fields or against
  their schema, mounts of unknown volumes, extended resources without a limit: 422.
- A pod that does not fit, or whose claim or image does not exist, stays Pending; GPUs are an extended resource.
- A container gets SIGTERM, and SIGKILL after its grace period; it runs as the user that its manifest names, with a
  read-only root if requested.
- `previous=true` for a container that never restarted is 400, as is the log of one that has not started.
- Objects of deleted owners, and finished Jobs past their time to live, are removed.
- The end of a deleted pod's container, with its exit code, is visible for a second before the object is removed.
- A Job's pod failure policy is applied, and a pod is replaced when it has ended; on a dead node that stays registered
  it never ends, and on a node that reboots it was killed, or its end was not recorded.
- ResourceQuota, LimitRange and admission refuse pods in events of the Job (FailedCreate), and Jobs with 403.
- The log of a pod with several containers is 400 without a container's name; finalizers keep a deleted Job, whose name
  stays taken (409).
- Tokens of service accounts expire and are renewed in the pods' files, which a client has to read again.
- A pod that violates the Pod Security Standard "restricted" of its namespace: 403.

    with Cluster(folder, images={...}, manifests=[...]) as cluster:
        argo.run(cluster, workflow, parameters)

`cluster.faults` injects errors; `cluster.evict`, `drain`, `delete_pod`, `reboot` and `cut_off` remove pods,
`rotate_tokens` renews their tokens; `cluster.requests` lists the requests with their users. cluster.py is the cluster;
objects.py, jobs.py, scheduler.py, quotas.py, kubelet.py and sandbox.py are its parts, api.py serves HTTPS, and argo.py
runs the templates of this repository's Argo manifests.
"""
