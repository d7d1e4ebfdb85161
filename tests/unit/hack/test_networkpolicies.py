"""Check that the network policies admit the necessary traffic, and concern pods that exist."""

from __future__ import annotations

from hack.realcluster.manifests import ROOT, load

MANIFESTS = ROOT / "manifests"
NAME = "app.kubernetes.io/name"


def test_policies_are_about_the_pods_and_ports_of_the_deployments() -> None:
    deny, server = load(MANIFESTS / "components/network-policies/policies.yaml")
    pods = {
        obj["metadata"]["name"]: obj["spec"]["template"]
        for file in ("apiserver.yaml", "controllers.yaml")
        for obj in load(MANIFESTS / "base" / file)
        if obj["kind"] == "Deployment"
    }
    served = pods["metal3-workloads-apiserver"]
    assert deny["spec"] == {"podSelector": {}, "policyTypes": ["Ingress"]}
    assert server["spec"]["podSelector"]["matchLabels"].items() <= served["metadata"]["labels"].items()
    (rule,) = server["spec"]["ingress"]
    (port,) = rule["ports"]
    assert port["port"] in {port["name"] for port in served["spec"]["containers"][0]["ports"]}
    assert rule["from"][0]["podSelector"]["matchLabels"] == {NAME: pods["metal3-workloads-controllers"]["metadata"]["labels"][NAME]}
