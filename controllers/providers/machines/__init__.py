"""Provides machines that are created on demand and offered by flavor: one provider, with a driver
for each kind of source.

`provider.py` is the one flow for all sources: claim, converge, release. `steps.py` decides one step
at a time. `driver.py` is the seam: a driver reads machines from its source as Instances and carries
steps out. `cloud/` has the drivers ec2 and openstack, `kubevirt/` has the driver of KubeVirt
clusters. The provisioner's name chooses between them, and in a cloud `parameters.driver`.
"""
