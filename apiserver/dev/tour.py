"""Define the tour: example files and commands, printed when dev mode is ready."""

from __future__ import annotations

import shlex
import sys
from collections.abc import Mapping
from pathlib import Path

SECRET = """\
# First-boot configuration: whatever cloud-init (or ignition) takes.
apiVersion: v1
kind: Secret
metadata:
  name: hello-user-data
stringData:
  userData: |
    #cloud-config
    hostname: hello
    users:
      - name: demo
"""

WORKLOAD = """\
# What to run, and what it needs. You do not choose the machine; the class does.
apiVersion: workload.metal3.io/v1alpha1
kind: Workload
metadata:
  name: hello
spec:
  image:
    url: https://images.example.com/ubuntu-24.04.qcow2
    checksum: https://images.example.com/SHA256SUMS
    checksumType: sha256
    format: qcow2
  userData:
    name: hello-user-data
  requirements:
    cpuCount: 8
    ram: 16Gi
"""

SET = """\
# Two equal machines in different racks: both get a host, or none does.
apiVersion: workload.metal3.io/v1alpha1
kind: WorkloadSet
metadata:
  name: ring
spec:
  replicas: 2
  minAvailable: 2
  selector:
    matchLabels: {app: ring}
  template:
    metadata:
      labels: {app: ring}
    spec:
      image:
        url: https://images.example.com/ubuntu-24.04.qcow2
        checksum: https://images.example.com/SHA256SUMS
        checksumType: sha256
        format: qcow2
      placement:
        antiAffinity:
          required:
            - topologyKey: infrastructure.cluster.x-k8s.io/failure-domain
              labelSelector:
                matchLabels: {app: ring}
"""

RESERVATION = """\
# Hosts that are kept for the tenant until a time. Only the owner of the hardware writes it.
apiVersion: workload.metal3.io/v1alpha1
kind: Reservation
metadata:
  name: launch
  namespace: tenant-a
spec:
  className: metal
  hosts: 2
  endTime: "2099-12-31T18:00:00Z"
"""

FILES: Mapping[str, str] = {"secret.yaml": SECRET, "workload.yaml": WORKLOAD, "set.yaml": SET, "reservation.yaml": RESERVATION}

TOUR = """\
Ready. Management {management}, hardware {hardware}, all data in {folder}

As a tenant, run something. In one more terminal, to watch it:
  export KUBECONFIG={tenant}
  kubectl get workloads -w
and in another, to do it; the first goes from Pending over Bound and Provisioning to Running:
  export KUBECONFIG={tenant}
  kubectl apply -f {secret} -f {workload}
  kubectl get bmh                       # the hosts you may have, without their BMCs
  kubectl describe workload hello
Run two machines in different racks, or none of them. A third one finds no rack, and says so:
  kubectl apply -f {set}
  kubectl wait --for=condition=Ready workloadset/ring --timeout=60s
  kubectl get workloadsets,workloads
  kubectl scale workloadset/ring --replicas=3
  kubectl wait --for=create workload/ring-2 --timeout=60s
  kubectl wait --for=condition=Bound=false workload/ring-2 --timeout=60s
  kubectl get workload ring-2 -o wide
  kubectl delete workloadset ring
As the owner of the hardware, see the real thing:
  kubectl --kubeconfig {owner} get hosts
  kubectl --kubeconfig {owner} get usagerecords   # the namespace that has each machine
    # {program} usage --kubeconfig {owner} sums up the times
  kubectl --kubeconfig {owner} --context hardware get bmh -o wide
Keep two hosts for the tenant until a date. Yours is one of them, and the other tenant is not offered the second one:
  kubectl --kubeconfig {owner} apply -f {reservation}
  kubectl wait --for=condition=Ready reservation/launch --timeout=60s
  kubectl get reservations
  kubectl --kubeconfig {other} get bmh
  kubectl --kubeconfig {owner} delete -f {reservation}
To see failures, let the next installation on each host fail once. New machines say why they failed, until they run after all:
  kubectl --kubeconfig {owner} --context hardware annotate bmh --all --overwrite simulator.metal3.io/fail=provisioning:1
  kubectl apply -f {set} && kubectl get workloads -o wide -w
  kubectl delete -f {set} --ignore-not-found
  kubectl --kubeconfig {owner} --context hardware annotate bmh --all simulator.metal3.io/fail-
To see broken hardware, let every BMC report a problem. Free hosts are not offered then, and yours says so, but stays yours:
  kubectl wait --for=condition=Bound workload/hello --timeout=60s
  kubectl --kubeconfig {owner} --context hardware annotate bmh --all --overwrite simulator.metal3.io/health=Critical
  kubectl wait --for=condition=Healthy=false workload/hello --timeout=60s
  kubectl --kubeconfig {owner} get hosts -o wide
  kubectl --kubeconfig {owner} --context hardware annotate bmh --all simulator.metal3.io/health-
Give it back, and see it cleaned and offered again:
  kubectl delete workload hello --wait=false && kubectl get bmh -w

The other tenant: {other}. Stop with Ctrl-C; the next start continues where this one ended.
"""


def tour(folder: Path, urls: Mapping[str, str]) -> str:
    """Return the text with the paths of this folder. `urls` are by endpoint."""
    paths = {name: shlex.quote(str(folder / file)) for name, file in _FILES.items()}
    program = shlex.quote(str(Path(sys.executable).with_name("metal3-workloads")))
    return TOUR.format(folder=folder, program=program, management=urls["management"], hardware=urls["hardware"], **paths)


_FILES = {
    "tenant": "tenant-a.kubeconfig",
    "other": "tenant-b.kubeconfig",
    "owner": "owner.kubeconfig",
    "secret": "secret.yaml",
    "workload": "workload.yaml",
    "set": "set.yaml",
    "reservation": "reservation.yaml",
}
