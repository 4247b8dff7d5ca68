"""A Kubernetes cluster in one process, for tests: API server, Job controller, garbage collector, scheduler, kubelet.

It serves what the unmodified Snakemake executor and our own programs ask for, and starts each pod for real, in a
bubblewrap sandbox that sees nothing but its image, its volumes and the machine's network. It is as strict as a
cluster where that has bitten somebody:

- TLS, service account tokens and RBAC: 401, 403; names that are taken: 409; objects with unknown fields or against
  their schema, mounts of unknown volumes, extended resources without a limit: 422.
- A pod that does not fit, whose claim or image is not there, stays Pending; GPUs are an extended resource.
- A container gets SIGTERM, and SIGKILL after its grace period; it runs as the user that its manifest names, with a
  read-only root where that is asked for.
- `previous=true` for a container that never restarted is 400, as is the log of one that has not started.
- What owners leave behind, and finished Jobs past their time to live, are collected.
- The end of a deleted pod's container, with its exit code, can be seen for a second before the object goes.
- A Job's pod failure policy is applied, and a pod replaced when it has ended; on a dead node that stays registered it
  never does, and on one that reboots it was killed, or nobody saw its end.
- ResourceQuota, LimitRange and admission refuse pods in events of the Job (FailedCreate), and Jobs with 403.
- The log of a pod with several containers is 400 without a container's name; finalizers hold a deleted Job, whose name
  is taken meanwhile (409).
- Tokens of service accounts expire and are renewed in the pods' files, where a client has to read them again.
- A pod of a namespace with the Pod Security Standard "restricted" that does not keep to it: 403.

    with Cluster(folder, images={...}, manifests=[...]) as cluster:
        argo.run(cluster, workflow, parameters)

`cluster.faults` injects errors; `cluster.evict`, `drain`, `delete_pod`, `reboot` and `cut_off` take pods away,
`rotate_tokens` their tokens;
`cluster.requests` says who asked for what. cluster.py is the whole; objects.py, jobs.py, scheduler.py, quotas.py,
kubelet.py and sandbox.py are its parts, api.py speaks HTTPS, and argo.py starts our Argo manifests' templates.
"""
