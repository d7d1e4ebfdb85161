"""Decide which hosts are given back to their lost Workloads, and build the Workloads to create.

All writers of the hardware cluster can write what is recorded there. So a record gives no more
than the class allows: its present rules are applied to each successor.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping

from pydantic import ValidationError

from apiserver.apis.names import FIRST_BOOT, IMAGE_AUTH
from apiserver.apis.wording import sentence
from apiserver.apis.workload import Workload, host_of
from apiserver.client.objects import Object, labels_of, matches, name_of, namespace_of, uid_of
from apiserver.client.text import printable
from controllers import kinds
from controllers.classaccess import names_namespace, not_allowed, retain_refused
from controllers.providers.baremetalhost import names
from controllers.providers.baremetalhost.desired import DEPLOYED
from controllers.providers.baremetalhost.identity import Identity
from controllers.providers.baremetalhost.record import read_record, without_auth
from controllers.providers.baremetalhost.report import consumer_of

_FREE = (
    "when nothing on the real host is needed any more, clear its spec.image, spec.customDeploy and spec.consumerRef, which wipes it and "
    "offers it again"
)


def is_lost(bmh: Object, host: Object | None, identity: Identity) -> bool:
    """Return whether the real host names a Workload of this management cluster as its consumer,
    while the store has no such claim."""
    consumer = consumer_of(bmh, identity)
    if consumer is None or not consumer.workload_uid or not all(lost_key(bmh)):
        return False
    claim = (host["spec"].get("claimRef") if host is not None else None) or {}
    return claim.get("uid") != consumer.workload_uid


def lost_key(bmh: Object) -> tuple[str, str]:
    """Return the namespace and the name of the lost Workload."""
    reference = bmh["spec"]["consumerRef"]
    return str(reference.get("namespace") or ""), str(reference.get("name") or "")


def shared_keys(bmhs: Iterable[Object]) -> dict[tuple[str, str], str]:
    """Return the Workloads that several real hosts name as theirs, each with what to do.

    Only one of the hosts can be genuine."""
    hosts: dict[tuple[str, str], list[str]] = defaultdict(list)
    for bmh in bmhs:
        hosts[lost_key(bmh)].append(f"{namespace_of(bmh)}/{name_of(bmh)}")
    why = (
        "several real hosts say that they are this Workload's ({}): find out which of them is, clear spec.consumerRef of the others, and "
        "run this again"
    )
    return {key: why.format(", ".join(sorted(found))) for key, found in hosts.items() if len(found) > 1}


def obstacle(bmh: Object, host: Object | None, workload: Object | None, namespaces: Mapping[str, Object]) -> str | None:
    """Return why the host is not given back, and what to do; None if it can be given back.

    `workload` is the one of that name in the store."""
    namespace, name = lost_key(bmh)
    if host is None:
        return "the controllers have not reported it: create its class again, and wait for the class's condition Connected"
    if claim := host["spec"].get("claimRef"):
        claimant = f"{claim['namespace']}/{claim['name']}"
        return (
            f"workload {claimant} has claimed the Host {name_of(host)} since: if the lost Workload shall have it, clear the Host's "
            f"spec.claimRef, which makes {claimant} Lost, and run this again"
        )
    recorded = read_record(bmh).namespace_uid
    if namespace not in namespaces and not recorded:
        return f"the namespace {namespace} does not exist: create it and run this again, or {_FREE}"
    if namespace not in namespaces or (recorded and recorded != uid_of(namespaces[namespace])):
        return f"the namespace {namespace} that had the host was deleted, and a later one of its name gets nothing of it: {_FREE}"
    wanted = ((workload or {}).get("spec") or {}).get("className")
    if wanted and wanted != host["spec"]["className"]:
        return (
            f"workload {namespace}/{name} exists, and is of the class {wanted}, but the host is of the class {host['spec']['className']}: "
            "set its spec.className to that, and run this again"
        )
    has = host_of(workload or {})
    if has:
        return (
            f"workload {namespace}/{name} has another host since ({has['name']}): keep that one, and {_FREE}; or save what runs on it, "
            "delete the Workload, which wipes that host, and run this again"
        )
    return None


def marking_patch(bmh: Object) -> Object:
    """Return the merge patch of the real host that lets a successor of its Workload take it
    over."""
    metadata = {"resourceVersion": bmh["metadata"]["resourceVersion"], "uid": uid_of(bmh)}
    return {"metadata": {**metadata, "annotations": {names.RECOVER: labels_of(bmh)[names.WORKLOAD_UID]}}}


def forbidden(class_: Object, bmh: Object, workload: Object, namespaces: Mapping[str, Object]) -> str | None:
    """Return why the class does not let the Workload have the host, and what to do; None if it
    does.

    A class without allowedNamespaces lets no namespace have a host yet, so it forbids nothing
    here."""
    namespace = namespaces[lost_key(bmh)[0]]
    try:
        Workload.decode(workload)
    except ValidationError as error:
        problem = printable(sentence(error.errors(include_url=False)[0]))
        return f"what is recorded of it is no Workload ({problem}): let its tenant create it again (--no-create); or, {_FREE}"
    if not matches(class_["spec"].get("hostSelector"), labels_of(bmh)):
        return f"the class {name_of(class_)} does not select it: correct the labels of the real host or the class's hostSelector, {_AGAIN}"
    if class_["spec"].get("allowedNamespaces") and not names_namespace(class_, namespace):
        return f"the class {name_of(class_)} does not allow the namespace {name_of(namespace)}: allow it there, {_AGAIN}"
    if (refused := not_allowed(class_, workload) or retain_refused(class_, workload)) is not None:
        return f"the class {name_of(class_)} does not allow what is recorded of it ({refused[1]}): correct the class, {_AGAIN}"
    return None


_AGAIN = f"if the Workload shall have the host, and run this again; otherwise, {_FREE}"


def successor(bmh: Object, class_name: str) -> Object:
    """Return the Workload to create in place of the lost one, of the class that has the host.

    It deploys what is on the host already, so that nothing is installed."""
    namespace, name = lost_key(bmh)
    record = read_record(bmh)
    metadata = {"name": name, "namespace": namespace, **({"labels": record.labels} if record.labels else {})}
    deployed = _deployed(bmh)
    wanted = {field: value for field, value in record.spec.items() if field not in deployed and not (deployed and field in DEPLOYED)}
    spec = {**wanted, **deployed, "className": class_name}
    return {"apiVersion": kinds.WORKLOADS.api_version, "kind": "Workload", "metadata": metadata, "spec": spec}


def _deployed(bmh: Object) -> Object:
    """Return the fields of a Workload's spec that describe what is on the host.

    The secret with the registry's credentials is the tenant's own, from the record, because the
    host names a copy of it."""
    found = {field: bmh["spec"][field] for field in DEPLOYED if bmh["spec"].get(field)}
    if "image" in found:
        found["image"] = (without_auth(found["image"]) or {}) | _recorded_auth(bmh)
    return found


def _recorded_auth(bmh: Object) -> Object:
    image = read_record(bmh).spec.get("image")
    name = image.get(IMAGE_AUTH) if isinstance(image, dict) and image.get("url") == bmh["spec"]["image"].get("url") else None
    return {IMAGE_AUTH: name} if isinstance(name, str) else {}


def unknown_successor(bmh: Object, class_name: str) -> Object:
    """Return what the host itself shows of a Workload that its tenant will create again."""
    namespace, name = lost_key(bmh)
    return {"metadata": {"name": name, "namespace": namespace}, "spec": {**_deployed(bmh), "className": class_name}}


def described(workload: Object, bmh: Object) -> str:
    """Return the class, image and secrets of the Workload that would get the host, as text for the
    owner to check."""
    spec, recorded = workload["spec"], read_record(bmh)
    image, method = (spec.get("image") or {}).get("url"), (spec.get("customDeploy") or {}).get("method")
    what = f"image {image}" if image else f"deploy method {method}" if method else "no image"
    secrets = [str(spec[field].get("name")) for field in FIRST_BOOT if isinstance(spec.get(field), dict)]
    secrets += [str(spec["image"][IMAGE_AUTH])] if (spec.get("image") or {}).get(IMAGE_AUTH) else []
    parts = [f"class {spec.get('className') or '(the default one)'}", what, *([f"secrets {', '.join(secrets)}"] if secrets else [])]
    if recorded.spec.get("className") not in (None, spec.get("className")):
        parts.append(f"its record names the class {recorded.spec['className']}")
    if not recorded.namespace_uid:
        parts.append("its namespace's uid is not recorded: see that the present namespace is still the one that had it")
    return printable("; ".join(parts))
