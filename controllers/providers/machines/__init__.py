"""Provide machines that are created on demand and offered by flavor.

There is one provider, with a driver for each kind of source. `provider.py` has the common flow of
all sources: claim, converge, release. `steps.py` decides one step at a time. `driver.py` is the
interface: a driver reads machines from its source as Instances and carries steps out. `cloud/` has
the drivers ec2 and openstack, `kubevirt/` has the driver of KubeVirt clusters. The provisioner's
name selects the driver; for a cloud, `parameters.driver` does.
"""
