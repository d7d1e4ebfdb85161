"""Name the labels, annotations, finalizers and fields that several parts use, each only here."""

from __future__ import annotations

GROUP, VERSION = "workload.metal3.io", "v1alpha1"
"""The group of Workload, WorkloadSet, WorkloadClass and Host."""
METAL3 = "metal3.io"
"""The group of Metal3's own BareMetalHost, and of the view by default."""

FIRST_BOOT = ("userData", "metaData", "networkData")
"""The fields of a Workload and of a BareMetalHost that name a secret with first-boot data."""

IMAGE_AUTH = "ociAuthSecretName"
"""The field of an image that names a secret with a registry's credentials."""

# On objects of the management cluster:
RELEASE_FINALIZER = f"{GROUP}/release"
"""A finalizer of a Workload. Its binding adds it, and it is removed when the host is released."""
IN_USE_FINALIZER = f"{GROUP}/class-in-use"
"""A finalizer of a WorkloadClass. It blocks the deletion while any host of the class is claimed,
because the release of a host needs the class."""
CLAIMED_THROUGH = f"{GROUP}/claimed-through"
"""A label of a Workload that the server created for a claim through the view."""
TEMPLATE_REVISION = f"{GROUP}/template-revision"
"""A label of a member of a WorkloadSet: the template that it was made from. It is missing while the
member is being emptied for another template."""
ADOPTS = f"{GROUP}/adopts"
"""An annotation of a Workload that adopted a claim which the host's source knew.

It names the consumer at the source as "APIVERSION KIND NAMESPACE/NAME". Only a claim of this
consumer is adopted."""
LEASE_EXPIRED = "LeaseExpired"
"""The condition of a Workload with which the controllers announce that they delete it."""
CLASS_LABEL = f"{GROUP}/class"
"""A label of a Host: the WorkloadClass that offers it."""
DEFAULT_CLASS_ANNOTATION = "workloadclass.workload.metal3.io/is-default-class"
"""An annotation of the WorkloadClass for Workloads that name none."""

# On machines at their source:
WORKLOAD_UID = f"{GROUP}/workload-uid"
"""A label of a claimed machine and of objects created for it: the Workload's uid.

It is unique over management clusters."""
MANAGEMENT = f"{GROUP}/management"
"""An annotation of a claimed machine, for the owner: the `identity` of the management cluster."""
QUARANTINED = f"{GROUP}/quarantined"
"""An annotation of a machine that a Workload with reclaimPolicy Retain left unchanged."""

# Of Metal3 and Cluster API:
PAUSED = "baremetalhost.metal3.io/paused"
"""An annotation of a BareMetalHost that the Baremetal Operator leaves as it is."""
DETACHED = "baremetalhost.metal3.io/detached"
"""An annotation of a BareMetalHost that is not in Ironic."""
STATUS_ANNOTATION = "baremetalhost.metal3.io/status"
"""An annotation of a BareMetalHost that is moved: its status, which a new object takes over."""
REBOOT = "reboot.metal3.io"
"""An annotation that requests a reboot: alone, or followed by a slash and a suffix."""
UNHEALTHY = ("capm3.metal3.io/unhealthy", "capi.metal3.io/unhealthy")
"""An annotation, under either name, of a host that CAPM3 does not choose. CAPM3's remediation
writes it."""
FAILURE_DOMAIN = "infrastructure.cluster.x-k8s.io/failure-domain"
"""A label of a host: its failure domain."""
