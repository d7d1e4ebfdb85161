"""Labels, annotations, finalizers and field names that more than one part uses. Each is spelled here, and nowhere else."""

from __future__ import annotations

GROUP, VERSION = "workload.metal3.io", "v1alpha1"
"""Of Workload, WorkloadClass and Host."""
METAL3 = "metal3.io"
"""The group of Metal3's own BareMetalHost, and of the view where no other group is chosen."""

FIRST_BOOT = ("userData", "metaData", "networkData")
"""Fields of a Workload and of a BareMetalHost that name a secret with first-boot configuration."""

# On objects of the management cluster
RELEASE_FINALIZER = f"{GROUP}/release"
"""Finalizer of a Workload: added by its binding, and removed when its host is released."""
IN_USE_FINALIZER = f"{GROUP}/class-in-use"
"""Finalizer of a WorkloadClass: blocks its deletion while any of its hosts is claimed, because releasing a host needs the class."""
CLAIMED_THROUGH = f"{GROUP}/claimed-through"
"""Label of a Workload that the server created for a claim through the view."""
ADOPTS = f"{GROUP}/adopts"
"""Annotation of a Workload that adopted a claim which the host's source knew: the consumer that had it there, as
`apiserver.apis.host.adopted_consumer` writes it. Only a claim of this consumer is adopted."""
DEFAULT_CLASS_ANNOTATION = "workloadclass.workload.metal3.io/is-default-class"
"""Annotation of the WorkloadClass for Workloads that name none."""

# On machines at their source
WORKLOAD_UID = f"{GROUP}/workload-uid"
"""Label of a claimed machine, and of what was made for it: the Workload's uid. It is unique over management clusters."""
MANAGEMENT = f"{GROUP}/management"
"""Annotation of a claimed machine: the `identity` of the management cluster, for the hardware's owner."""
QUARANTINED = f"{GROUP}/quarantined"
"""Annotation of a machine that a Workload with reclaimPolicy Retain left as it was."""

# Of Metal3 and Cluster API
PAUSED = "baremetalhost.metal3.io/paused"
DETACHED = "baremetalhost.metal3.io/detached"
STATUS_ANNOTATION = "baremetalhost.metal3.io/status"
REBOOT = "reboot.metal3.io"
"""Annotation that requests a reboot: alone, or followed by a slash and a suffix."""
UNHEALTHY = ("capm3.metal3.io/unhealthy", "capi.metal3.io/unhealthy")
"""Annotations of a host that CAPM3 does not choose: written by its remediation, by their old and new names."""
FAILURE_DOMAIN = "infrastructure.cluster.x-k8s.io/failure-domain"
"""Label of a host: the failure domain that it is in."""
