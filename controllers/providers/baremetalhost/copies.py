"""Keep and remove the copies of secrets in the namespace of the real host.

The names of the copies are deterministic, so no state is kept."""

from __future__ import annotations

from collections.abc import Mapping

from apiserver.client.client import Client
from apiserver.client.errors import ignore_not_found
from apiserver.client.objects import Object, labels_of, name_of, namespace_of, uid_of
from controllers import kinds
from controllers.providers.baremetalhost import names
from controllers.providers.baremetalhost.data import secret_object


class SecretCopies:
    """Manage the copied secrets of Workloads in one hardware cluster."""

    def __init__(self, client: Client) -> None:
        self._client = client

    async def keep(self, workload: Object, namespace: str, data: Mapping[str, Mapping[str, bytes]]) -> dict[str, str]:
        """Create or correct the copies, so that they hold exactly this data. Return each field's
        copy name."""
        result = {}
        for field, content in data.items():
            wanted = secret_object(workload, namespace, field, content)
            await self._keep(wanted)
            result[field] = wanted["metadata"]["name"]
        return result

    async def remove(self, workload_uid: str, namespace: str) -> None:
        """Remove all copies of a Workload.

        Copies that are already gone are no error. A secret of the same name that is not a copy
        stays."""
        for secret in await self._of(workload_uid, namespace):
            await self._delete(secret)

    async def remove_one(self, workload_uid: str, field: str, namespace: str) -> None:
        """Remove the copy of one field, as `remove` does."""
        name = names.secret_name(workload_uid, field)
        for secret in await self._of(workload_uid, namespace):
            if name_of(secret) == name:
                await self._delete(secret)

    async def _of(self, workload_uid: str, namespace: str) -> list[Object]:
        found = await self._client.list_page(kinds.SECRETS, namespace, label_selector=f"{names.WORKLOAD_UID}={workload_uid}")
        return found.get("items") or []

    async def _delete(self, secret: Object) -> None:
        with ignore_not_found():
            await self._client.delete(kinds.SECRETS, name_of(secret), namespace_of(secret), uid=uid_of(secret))

    async def _keep(self, wanted: Object) -> None:
        metadata = wanted["metadata"]
        name, namespace = metadata["name"], metadata["namespace"]
        current = await self._client.find(kinds.SECRETS, name, namespace)
        if current is None:
            await self._client.create(kinds.SECRETS, wanted, namespace)
            return
        # BMO adds a label of its own, so only our label and the data are compared.
        label = labels_of(current).get(names.WORKLOAD_UID)
        if current.get("data") == wanted["data"] and label == metadata["labels"][names.WORKLOAD_UID]:
            return
        changed = {key: None for key in current.get("data") or {} if key not in wanted["data"]} | wanted["data"]
        await self._client.patch(kinds.SECRETS, name, {"metadata": {"labels": metadata["labels"]}, "data": changed}, namespace)
