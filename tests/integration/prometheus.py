"""Run a Prometheus beside a cluster, with the component's alerts on a faster clock."""

from __future__ import annotations

import json
import re
import subprocess
import urllib.parse
import urllib.request
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import yaml

from hack.realcluster import ports
from tests.integration.running import ROOT, Running, eventually

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

RULES: dict[str, Any] = yaml.safe_load((ROOT / "manifests/components/monitoring/rules.yaml").read_text())["spec"]
WINDOW = "20s"
"""The range of time that alerts look back, instead of minutes."""
WAIT = "5"
"""The seconds that a Workload may wait, instead of half an hour."""


class Prometheus:
    """A running Prometheus."""

    def __init__(self, url: str) -> None:
        self._url = url

    def query(self, expression: str) -> list[dict[str, str]]:
        """Return the labels of all series that the expression selects."""
        query = urllib.parse.urlencode({"query": expression})
        with urllib.request.urlopen(f"{self._url}/api/v1/query?{query}", timeout=10) as response:
            return [one["metric"] for one in json.load(response)["data"]["result"]]

    def firing(self) -> set[tuple[str, str]]:
        """Return the alerts that fire now, each with its class."""
        return {(one["alertname"], one.get("class") or "") for one in self.query('ALERTS{alertstate="firing"}')}


def hastened() -> dict[str, Any]:
    """Return the rules about the fleet, changed only to wait for seconds instead of minutes.

    The other rules depend on how fast this machine is."""
    fleet = [group for group in RULES["groups"] if group["name"] == "metal3-workloads-fleet"]
    text = re.sub(r"\[\d+m\]", f"[{WINDOW}]", json.dumps(fleet))
    groups = json.loads(text.replace("> 1800", f"> {WAIT}"))
    for group in groups:
        for rule in group["rules"]:
            rule.pop("for", None)
    return {"groups": groups}


@contextmanager
def watching(cluster: Running, token: str, promtool: str, folder: Path) -> Iterator[Prometheus]:
    """Run a Prometheus that scrapes the cluster's programs with this token, until the end of the
    block."""
    (folder / "token").write_text(token)
    (folder / "rules.json").write_text(json.dumps(hastened()))
    targets = {"metal3-workloads-apiserver": cluster.description["apiserver"]["url"]}
    targets["metal3-workloads-controllers"] = cluster.description["controllers"]["metrics"]
    jobs = [
        {
            "job_name": job,
            "scheme": "https",
            "authorization": {"credentials_file": str(folder / "token")},
            "tls_config": {"ca_file": cluster.description["apiserver"]["ca"]},
            "static_configs": [{"targets": [url.removeprefix("https://")]}],
        }
        for job, url in targets.items()
    ]
    every = {"scrape_interval": "1s", "scrape_timeout": "1s", "evaluation_interval": "1s"}
    (folder / "config.json").write_text(json.dumps({"global": every, "rule_files": [str(folder / "rules.json")], "scrape_configs": jobs}))
    address = f"127.0.0.1:{ports.reserve()}"
    program = promtool.replace("promtool", "prometheus")
    command = [program, f"--config.file={folder}/config.json", f"--storage.tsdb.path={folder}/data", f"--web.listen-address={address}"]
    with (folder / "prometheus.log").open("wb") as log, subprocess.Popen(command, stdout=log, stderr=log) as process:
        try:
            found = Prometheus(f"http://{address}")
            eventually(lambda: len(_asked(found)) == len(targets), seconds=60)
            yield found
        finally:
            process.terminate()


def _asked(prometheus: Prometheus) -> list[dict[str, str]]:
    try:
        return prometheus.query("up == 1")
    except OSError:
        return []
