"""Carry out an adoption, or undo it, one host after the other.

Every step first checks whether it is done: if the process is killed anywhere, the same command
continues. An adoption writes one annotation on the real host. The controllers then take the host
over like any claim that a source knows. To undo an adoption, one write makes the real host what it
was, before anything is deleted in the management cluster.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from apiserver.apis.host import host_name, view_uid
from apiserver.apis.names import FIRST_BOOT
from apiserver.apis.workload import RAN_PHASES
from apiserver.client.client import Client
from apiserver.client.errors import ApiException
from apiserver.client.objects import Object, Resource, annotations_of, deleting, labels_of, name_of, namespace_of, uid_of
from controllers import kinds
from controllers.adoptionoptions import Options, Summary
from controllers.classaccess import admits, is_active
from controllers.move.plan import same_data, secret_copy
from controllers.providers.baremetalhost import adoptionplan as plan
from controllers.providers.baremetalhost import names
from controllers.providers.baremetalhost.adoptionrecord import Adoption, adoption_of
from controllers.providers.baremetalhost.hardware import class_identity, class_namespace
from controllers.providers.baremetalhost.refusals import REFUSALS
from controllers.resumable import Blocked, Reporter, until
from controllers.secrets import is_clusters_own


class Obstacle(Exception):
    """Reports that a host cannot be adopted or given back. The message says why and what to do."""


class Adopter:
    """Adopts the hosts of a class, or gives them back. `reporter` shows the progress."""

    def __init__(self, management: Client, hardware: Client, class_: Object, options: Options, reporter: Reporter) -> None:
        self._management, self._hardware, self._class = management, hardware, class_
        self._options, self._reporter = options, reporter
        self._namespace: Object = {}
        self._bmc_secrets: set[str] = set()
        self._summary = Summary()

    async def run(self) -> Summary:
        """Adopt all hosts, or give all back. Raises Blocked if nothing can be adopted, and
        ApiException if a cluster does not answer; the same command continues."""
        self._identity = class_identity(self._class, await self._management.find(kinds.NAMESPACES, "kube-system"))
        self._namespace = await self._admitted()
        bmhs, _ = await self._hardware.list_all(names.BARE_METAL_HOSTS, class_namespace(self._class))
        self._bmc_secrets = {f"{namespace_of(bmh)}/{(bmh['spec'].get('bmc') or {}).get('credentialsName')}" for bmh in bmhs}
        wanted = await self._wanted(bmhs)
        for number, bmh in enumerate(wanted):
            self._reporter.advance(number, len(wanted))
            try:
                await (self._undo(bmh) if self._options.undo else self._adopt(bmh))
            except Obstacle as why:
                self._failed(bmh, f"{why}")
            except ApiException as error:
                if not error.conflict:
                    raise
                self._failed(bmh, "it has just changed: run the same command again")
        return self._summary

    def _failed(self, bmh: Object, why: str) -> None:
        self._report(bmh, f"failed: {why}")
        self._summary.failed.append(name_of(bmh))

    def _report(self, bmh: Object, text: str) -> None:
        self._reporter.say(f"{name_of(bmh)}: {text}")

    async def _admitted(self) -> Object:
        """Return the tenant's namespace, if the class allows it more hosts."""
        name = self._options.namespace
        namespace = await self._management.find(kinds.NAMESPACES, name)
        if namespace is None or not is_active(namespace):
            raise Blocked(f"the management cluster has no active namespace {name}: create it first")
        if not self._options.undo and not admits(self._class, namespace):
            raise Blocked(f"the class {name_of(self._class)} does not allow the namespace {name}: add it to spec.allowedNamespaces")
        return namespace

    async def _wanted(self, bmhs: list[Object]) -> list[Object]:
        """Return the real hosts that the options mean."""
        if not self._options.hosts:
            return [bmh for bmh in bmhs if await self._is_meant(bmh)]
        found = [bmh for bmh in bmhs if {name_of(bmh), _full_name(bmh)} & set(self._options.hosts)]
        missing = set(self._options.hosts) - {name for bmh in found for name in (name_of(bmh), _full_name(bmh))}
        if missing:
            raise Blocked(f"the class {name_of(self._class)} has no real host {', '.join(sorted(missing))}: correct the name, or --class")
        if len(found) > len(self._options.hosts):
            raise Blocked(f"say which hosts, as NAMESPACE/NAME: {', '.join(map(_full_name, found))}")
        if self._options.workload and len(found) != 1:
            raise Blocked("--name is for one host")
        return found

    async def _is_meant(self, bmh: Object) -> bool:
        record = self._record(bmh)
        if self._options.undo:
            begun = record is not None and record.namespace == self._options.namespace
            return begun or (names.HANDED_BACK in annotations_of(bmh) and await self._claimant(bmh) in ("", self._options.namespace))
        reference = bmh["spec"].get("consumerRef") or {}
        mine = namespace_of(bmh) == reference.get("namespace") == self._options.namespace
        return record.namespace == self._options.namespace if record is not None else mine and reference.get("kind") != "Workload"

    async def _claimant(self, bmh: Object) -> str:
        """Return the namespace that has claimed the host; "" for none."""
        host = await self._host(bmh)
        return str(((host["spec"].get("claimRef") if host is not None else None) or {}).get("namespace") or "")

    def _record(self, bmh: Object) -> Adoption | None:
        record = adoption_of(bmh)
        return record if record is not None and self._identity.owns(record.cluster) else None

    async def _host(self, bmh: Object) -> Object | None:
        return await self._management.find(kinds.HOSTS, host_name(uid_of(bmh)))

    # Adoption:

    async def _adopt(self, bmh: Object) -> None:
        host, record = await self._host(bmh), self._record(bmh)
        if record is not None and names.WORKLOAD_UID in labels_of(bmh):
            return await self._adopted(bmh, record)
        wanted = self._adoption(bmh, record)
        if why := plan.obstacle(bmh, self._unclaimed(host, wanted), wanted, self._class) or await self._in_the_way(bmh, host, wanted):
            raise Obstacle(why)
        secrets = await self._secrets(bmh, wanted)
        what = plan.described(bmh, wanted, [_full_name(secret) for secret in secrets])
        if self._options.dry_run:
            self._report(bmh, f"would be adopted: {what}")
            self._summary.waiting.append(name_of(bmh))
            return None
        for secret in secrets:
            await self._copy(secret)
        if record is None or "ownerReferences" in plan.marking_patch(bmh, wanted)["metadata"]:
            await self._patch(bmh, plan.marking_patch(bmh, wanted))
        self._report(bmh, f"marked: {what}")
        await (self._give(bmh, wanted) if wanted.workload else self._show(bmh, wanted))
        return None

    def _unclaimed(self, host: Object | None, wanted: Adoption) -> Object | None:
        """Return the Host without its claim, if this adoption has made the claim."""
        claim = host["spec"].get("claimRef") if host is not None else None
        same = claim and (claim["namespace"], claim["name"]) == (wanted.namespace, wanted.workload)
        return {**host, "spec": {**host["spec"], "claimRef": None}} if host is not None and same else host

    async def _adopted(self, bmh: Object, record: Adoption) -> None:
        if record.namespace != self._options.namespace:
            raise Obstacle(f"the namespace {record.namespace} has adopted it")
        if record.workload and not self._options.dry_run:
            await self._until_running(bmh, record)
        self._report(bmh, f"is adopted by the Workload {_holder(bmh)}")
        self._summary.done.append(name_of(bmh))

    def _adoption(self, bmh: Object, record: Adoption | None) -> Adoption:
        """Return the adoption to begin, or the one that has begun."""
        if record is not None and record.namespace == self._options.namespace and self._options.workload in ("", record.workload):
            return record
        consumer = bmh["spec"].get("consumerRef") or None
        if consumer and self._options.workload:
            raise Obstacle(f"a {consumer.get('kind')} has it and keeps its own name: leave out --name")
        workload = "" if consumer else self._options.workload or name_of(bmh)
        return Adoption(self._identity.name, self._options.namespace, uid_of(self._namespace), workload, consumer)

    async def _in_the_way(self, bmh: Object, host: Object | None, wanted: Adoption) -> str | None:
        workload = await self._management.find(kinds.WORKLOADS, wanted.workload, wanted.namespace) if wanted.workload else None
        if workload is not None and host is not None and (host["spec"].get("claimRef") or {}).get("uid") == uid_of(workload):
            return None
        resource = await kinds.served_views(self._management)
        if not wanted.workload and resource.group != "metal3.io":
            return (
                f"this management cluster serves views as {resource.plural}.{resource.group}, and has real hosts of its own: "
                "consumers such as CAPM3 do not use such views"
            )
        view = await self._management.find(resource, name_of(bmh), wanted.namespace)
        described = plan.workload_of(bmh, wanted, self._class, secrets=False)
        return plan.name_conflict(described, workload, view, host, wanted)

    async def _secrets(self, bmh: Object, wanted: Adoption) -> list[Object]:
        """Return the secrets of the real host to copy to the tenant's namespace."""
        found: dict[str, Object] = {}
        references = [bmh["spec"][field] for field in FIRST_BOOT if (bmh["spec"].get(field) or {}).get("name")]
        for reference in references if wanted.workload and self._options.copy_secrets else ():
            name, namespace = reference["name"], reference.get("namespace") or namespace_of(bmh)
            if namespace != namespace_of(bmh):
                raise Obstacle(f"its secret {namespace}/{name} is in another namespace: leave out --copy-secrets")
            secret = await self._hardware.find(kinds.SECRETS, name, namespace)
            if secret is None:
                raise Obstacle(f"its secret {namespace}/{name} does not exist in the hardware cluster: leave out --copy-secrets")
            if is_clusters_own(secret) or f"{namespace}/{name}" in self._bmc_secrets:
                raise Obstacle(f"its secret {namespace}/{name} holds credentials, and no first-boot data: leave out --copy-secrets")
            there = await self._management.find(kinds.SECRETS, name, wanted.namespace)
            if there is not None and not same_data(secret, there):
                raise Obstacle(f"the namespace {wanted.namespace} has another secret {name}: rename that one, or leave out --copy-secrets")
            found[name] = secret
        return list(found.values())

    async def _copy(self, secret: Object) -> None:
        try:
            await self._management.create(kinds.SECRETS, secret_copy(secret), self._options.namespace)
        except ApiException as error:
            if not error.already_exists:
                raise

    async def _give(self, bmh: Object, wanted: Adoption) -> None:
        """Create the Workload once the Host is held for it, and wait until it has the host."""
        await self._until(lambda: self._is_held(bmh), "the controllers to report that the host can be taken over")
        workload = plan.workload_of(bmh, wanted, self._class, secrets=self._options.copy_secrets)
        try:
            await self._management.create(kinds.WORKLOADS, workload, wanted.namespace)
            self._report(bmh, f"created the Workload {wanted.namespace}/{wanted.workload}")
        except ApiException as error:
            if error.status in REFUSALS:
                raise Obstacle(f"the Workload is refused: {error.message}; the host is unchanged, and --undo removes its mark") from None
            if not error.already_exists:
                raise
        await self._until_running(bmh, wanted)
        self._report(bmh, f"the Workload {wanted.namespace}/{wanted.workload} has it, and it runs on as it was")
        self._summary.done.append(name_of(bmh))

    async def _until_running(self, bmh: Object, wanted: Adoption) -> None:
        await self._until(lambda: self._is_running(bmh, wanted), f"the Workload {wanted.namespace}/{wanted.workload} to have it")

    async def _is_held(self, bmh: Object) -> bool:
        host = await self._host(bmh)
        return host is not None and bool(host["spec"].get("claimRef") or (host.get("status") or {}).get("held"))

    async def _is_running(self, bmh: Object, wanted: Adoption) -> bool:
        workload = await self._management.find(kinds.WORKLOADS, wanted.workload, wanted.namespace)
        real = await self._hardware.get(names.BARE_METAL_HOSTS, name_of(bmh), namespace_of(bmh))
        status = (workload or {}).get("status") or {}
        taken = workload is not None and labels_of(real).get(names.WORKLOAD_UID) == uid_of(workload)
        return taken and status.get("phase") in RAN_PHASES

    async def _show(self, bmh: Object, wanted: Adoption) -> None:
        """Wait until the view that the host's consumer moves to exists, with the uid of the real
        host."""
        await self._until(lambda: self._is_held(bmh), "the controllers to report that the host can be taken over")
        await self._until(lambda: self._is_shown(bmh, wanted), f"the BareMetalHost {wanted.namespace}/{name_of(bmh)} to appear")
        self._report(bmh, f"shown as BareMetalHost {wanted.namespace}/{name_of(bmh)}")
        self._summary.waiting.append(name_of(bmh))

    async def _is_shown(self, bmh: Object, wanted: Adoption) -> bool:
        """Return whether the view has the uid of the real host. Delete a Host whose view would not
        have it."""
        host = await self._host(bmh)
        if host is not None and host["spec"]["source"].get("identityNamespace") != wanted.namespace and not host["spec"].get("claimRef"):
            # The controllers create the Host again with the identity. No claim uses it, so only its
            # history is lost.
            await self._delete(kinds.HOSTS, host)
            return False
        view = await self._management.find(await kinds.served_views(self._management), name_of(bmh), wanted.namespace)
        return view is not None and uid_of(view) == uid_of(bmh)

    # Undoing an adoption:

    async def _undo(self, bmh: Object) -> None:
        record = self._record(bmh)
        if names.HANDED_BACK in annotations_of(bmh):
            if (claimant := await self._claimant(bmh)) not in ("", self._options.namespace):
                raise Obstacle(f"the namespace {claimant} has adopted it: use --namespace for that one")
            return await self._finish(bmh, annotations_of(bmh)[names.HANDED_BACK])
        claimed = names.WORKLOAD_UID in labels_of(bmh)
        if record is None and not claimed:
            self._report(bmh, "is not adopted")
            return self._summary.done.append(name_of(bmh))
        if record is None:
            raise Obstacle("something was installed on it here since, so it cannot be given back as it was: it is released like any host")
        if record.namespace != self._options.namespace:
            raise Obstacle(f"the namespace {record.namespace} has adopted it: use --namespace for that one")
        if claimed:
            return await self._hand_back(bmh, record)
        return await self._unmark(bmh, record)

    async def _unmark(self, bmh: Object, record: Adoption) -> None:
        """Remove the mark of a host that was not taken over yet."""
        host = await self._host(bmh)
        if host is not None and host["spec"].get("claimRef"):
            raise Obstacle("it is being taken over at the moment: run the same command again")
        workload = await self._management.find(kinds.WORKLOADS, record.workload, record.namespace) if record.workload else None
        waits = workload is not None and plan.waits_for(workload, record)
        if self._options.dry_run:
            removed = f", and the Workload {record.namespace}/{record.workload}, which waits for the host, deleted" if waits else ""
            return self._would(bmh, f"its mark would be removed{removed}")
        if workload is not None and waits and not await self._delete(kinds.WORKLOADS, workload):
            raise Obstacle("its Workload has just changed: run the same command again")
        await self._patch(bmh, plan.unmarking_patch(bmh))
        self._report(bmh, "its mark is removed; no consumer had taken it over")
        self._summary.done.append(name_of(bmh))
        return None

    def _would(self, bmh: Object, text: str) -> None:
        self._report(bmh, text)
        self._summary.waiting.append(name_of(bmh))

    async def _hand_back(self, bmh: Object, record: Adoption) -> None:
        """Make the real host what it was. Only then, the Workload here is removed."""
        host, workload = await self._host(bmh), await self._workload(bmh)
        if why := plan.undo_obstacle(bmh, host, workload, record):
            raise Obstacle(why)
        if self._options.dry_run:
            who = f"{record.consumer.get('kind')} {record.consumer.get('name')}" if record.consumer else "its owner"
            return self._would(bmh, f"would be given back to {who} as it runs, and the Workload {_holder(bmh)} removed")
        await self._patch(bmh, plan.handing_back_patch(bmh, record))
        self._report(bmh, "the real host is as it was before")
        return await self._finish(bmh, labels_of(bmh)[names.WORKLOAD_UID])

    async def _workload(self, bmh: Object) -> Object | None:
        """Return the Workload whose claim the Host in the management cluster has, or None."""
        claim = ((await self._host(bmh)) or {"spec": {}})["spec"].get("claimRef")
        workload = await self._management.find(kinds.WORKLOADS, claim["name"], claim["namespace"]) if claim else None
        return workload if workload is not None and claim and uid_of(workload) == claim["uid"] else None

    async def _finish(self, bmh: Object, uid: str) -> None:
        """Remove the Workload that has handed the host back. Its release changes nothing there."""
        if self._options.dry_run:
            workload = await self._handed_back(bmh, uid)
            removed = f"the Workload {_full_name(workload)}" if workload is not None else "the rest"
            return self._would(bmh, f"is given back already; {removed} would be removed here")
        await self._until(lambda: self._is_removed(bmh, uid), "the controllers to remove the Workload here")
        current = await self._hardware.get(names.BARE_METAL_HOSTS, name_of(bmh), namespace_of(bmh))
        await self._patch(current, {"metadata": {"annotations": {names.HANDED_BACK: None}}})
        self._report(bmh, "given back; the Workload here is gone, and nothing was released")
        self._summary.done.append(name_of(bmh))
        return None

    async def _handed_back(self, bmh: Object, uid: str) -> Object | None:
        """Return the Workload that had the host. Raises Obstacle if it has another machine."""
        workload = await self._by_uid(uid)
        if workload is None or plan.is_free_or_on(workload, (uid_of(bmh), view_uid(uid_of(bmh), namespace_of(workload)))):
            return workload
        raise Obstacle(
            f"its annotation {names.HANDED_BACK} names the Workload {_full_name(workload)}, which has another machine: "
            "remove the annotation from the real host"
        )

    async def _is_removed(self, bmh: Object, uid: str) -> bool:
        """Return whether the Workload is gone, and delete it otherwise."""
        workload = await self._handed_back(bmh, uid)
        if workload is not None and not deleting(workload):
            await self._delete(kinds.WORKLOADS, workload)
        return workload is None

    async def _delete(self, resource: Resource, obj: Object) -> bool:
        """Delete the object if it has not changed since it was read, and return whether it is gone.

        In between, a Workload may get a machine, which the deletion would wipe, and a Host may be
        claimed."""
        conditions = {"uid": uid_of(obj), "resource_version": obj["metadata"]["resourceVersion"]}
        try:
            await self._management.delete(resource, name_of(obj), namespace_of(obj), **conditions)
        except ApiException as error:
            if not (error.not_found or error.conflict):
                raise
            return error.not_found
        return True

    async def _by_uid(self, uid: str) -> Object | None:
        """Return the Workload with this uid. It stays for a moment after its claim has ended."""
        found, _ = await self._management.list_all(kinds.WORKLOADS, self._options.namespace)
        return next((workload for workload in found if uid_of(workload) == uid), None)

    async def _patch(self, bmh: Object, patch: Object) -> None:
        await self._hardware.patch(names.BARE_METAL_HOSTS, name_of(bmh), patch, namespace_of(bmh))

    async def _until(self, check: Callable[[], Awaitable[bool]], what: str) -> None:
        """Wait until the check is true. Raises Obstacle after the timeout."""
        if not await until(check, self._options.timeout):
            raise Obstacle(f"waited {self._options.timeout:g} s for {what}; run the same command again to continue")


def _full_name(obj: Object) -> str:
    return f"{namespace_of(obj)}/{name_of(obj)}"


def _holder(bmh: Object) -> str:
    reference = bmh["spec"].get("consumerRef") or {}
    return f"{reference.get('namespace')}/{reference.get('name')}"
