"""Read and write objects in the KubeVirt cluster's namespace.

Every write to a machine states the version that the decision was based on."""

from __future__ import annotations

from collections.abc import Mapping

from apiserver.client.client import Client
from apiserver.client.errors import ApiException, ignore_not_found
from apiserver.client.objects import Object, Resource, labels_of, name_of, namespace_of, uid_of
from controllers import kinds
from controllers.providers.machines.kubevirt import names
from controllers.providers.machines.kubevirt.manifest import secret_object


class MachineCluster:
    """One namespace of one cluster.

    Methods raise ApiException. A deletion of an object that is already gone is no error."""

    def __init__(self, client: Client, namespace: str) -> None:
        self._client, self._namespace = client, namespace

    async def machine(self, name: str) -> Object | None:
        """Return the VirtualMachine as it is now."""
        return await self._find(names.VIRTUAL_MACHINES, name)

    async def instance(self, name: str) -> Object | None:
        """Return the VirtualMachineInstance of this name, which exists while its machine is on, or
        is being turned on or off."""
        return await self._find(names.INSTANCES, name)

    async def make(self, machine: Object) -> Object | None:
        """Create the VirtualMachine, which is the claim. Return None if there is one of this
        name."""
        try:
            return await self._client.create(names.VIRTUAL_MACHINES, machine, self._namespace)
        except ApiException as error:
            if error.already_exists:
                return None
            raise

    async def patch(self, machine: Object, patch: Object) -> Object:
        """Merge-patch exactly this state of the machine. Raises a conflict if it has changed
        since."""
        metadata = {**patch.get("metadata", {}), "resourceVersion": machine["metadata"]["resourceVersion"], "uid": uid_of(machine)}
        return await self._client.patch(names.VIRTUAL_MACHINES, name_of(machine), {**patch, "metadata": metadata}, namespace_of(machine))

    async def delete_machine(self, machine: Object) -> None:
        """Delete the VirtualMachine. KubeVirt keeps it until its instance has ended."""
        await self._delete(names.VIRTUAL_MACHINES, name_of(machine), uid=uid_of(machine))

    async def end_instance(self, name: str, uid: str) -> None:
        """End this very instance."""
        try:
            await self._delete(names.INSTANCES, name, uid=uid)
        except ApiException as error:
            if not error.conflict:  # another one has taken its place, so it has ended
                raise

    async def make_disk(self, disk: Object) -> Object:
        """Create the DataVolume if there is none of its name. Return it as it is stored."""
        try:
            return await self._client.create(names.DATA_VOLUMES, disk, self._namespace)
        except ApiException as error:
            if error.already_exists:
                return await self._client.get(names.DATA_VOLUMES, name_of(disk), self._namespace)
            raise

    async def delete_disk(self, name: str) -> bool:
        """Delete a DataVolume and its claim. Return whether they are gone."""
        left = [found for kind in (names.DATA_VOLUMES, names.VOLUME_CLAIMS) if (found := await self._find(kind, name)) is not None]
        for kind in (names.DATA_VOLUMES, names.VOLUME_CLAIMS) if left else ():
            await self._delete(kind, name)
        return not left

    async def keep_secret(self, machine: Object, workload_uid: str, data: Mapping[str, bytes]) -> None:
        """Create or correct the first-boot secret, so that it holds exactly this data."""
        wanted = secret_object(machine, workload_uid, data)
        name = name_of(wanted)
        current = await self._find(kinds.SECRETS, name)
        if current is None:
            await self._client.create(kinds.SECRETS, wanted, self._namespace)
            return
        metadata, owners = wanted["metadata"], wanted["metadata"]["ownerReferences"]
        same = current.get("data") == wanted["data"] and labels_of(current).get(names.WORKLOAD_UID) == workload_uid
        if same and current["metadata"].get("ownerReferences") == owners:
            return
        changed = {key: None for key in current.get("data") or {} if key not in wanted["data"]} | wanted["data"]
        patch = {"metadata": {"labels": metadata["labels"], "ownerReferences": owners}, "data": changed}
        await self._client.patch(kinds.SECRETS, name, patch, self._namespace)

    async def remove_secrets(self, workload_uid: str) -> None:
        """Delete the Workload's secrets."""
        for secret in await self._of(kinds.SECRETS, workload_uid):
            await self._delete(kinds.SECRETS, name_of(secret), uid=uid_of(secret))

    async def clean(self, workload_uid: str) -> bool:
        """Delete what the Workload left besides its machine. Return whether nothing is left."""
        left = 0
        for kind in (kinds.SECRETS, names.DATA_VOLUMES, names.VOLUME_CLAIMS):
            for item in await self._of(kind, workload_uid):
                await self._delete(kind, name_of(item), uid=uid_of(item))
                left += kind is not kinds.SECRETS
        return not left

    async def _of(self, kind: Resource, workload_uid: str) -> list[Object]:
        try:
            page = await self._client.list_page(kind, self._namespace, label_selector=f"{names.WORKLOAD_UID}={workload_uid}")
        except ApiException as error:
            if error.not_found and kind is names.DATA_VOLUMES:
                return []  # no CDI in this cluster
            raise
        return page.get("items") or []

    async def _find(self, kind: Resource, name: str) -> Object | None:
        try:
            return await self._client.get(kind, name, self._namespace)
        except ApiException as error:
            # Only an answer of the API about this object counts. A missing kind or a proxy's page
            # is an error, not absence, except that CDI is optional.
            if error.not_found and (error.details.get("name") == name or kind is names.DATA_VOLUMES):
                return None
            raise

    async def _delete(self, kind: Resource, name: str, *, uid: str = "") -> None:
        with ignore_not_found():
            await self._client.delete(kind, name, self._namespace, uid=uid)
