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
- A pod of a namespace with the Pod Security Standard "restricted" that does not keep to it: 403.

    with Cluster(folder, images={...}, manifests=[...]) as cluster:
        argo.run(cluster, workflow, parameters)

`cluster.faults` injects errors, `cluster.evict` and `cluster.drain` take a pod away; `cluster.requests` says who asked
for what. cluster.py is the whole; objects.py, jobs.py, scheduler.py, kubelet.py and sandbox.py are its parts, api.py
speaks HTTPS, and argo.py starts our Argo manifests' templates.
"""
