"""Load a kube-apiserver as a tenant: one thread writes, one watches, and both try again after a
failure. They count the acknowledged writes and the watch's events."""

from __future__ import annotations

import http.client
import json
import ssl
import threading
import urllib.error
import urllib.request
from typing import TYPE_CHECKING, Any

from tests.integration.running import ADMIN, eventually

if TYPE_CHECKING:
    from tests.integration.running import Running

SECONDS = 90
REQUEST_SECONDS = 15
"""The deadline of a request, and of the time between two events of a watch."""
PAUSE_SECONDS = 0.1
FAILURES = (urllib.error.URLError, http.client.HTTPException, OSError)


class Load:
    """Label a Workload of a tenant again and again, and watch the tenant's namespace, in a block.

    `written`: the revisions of acknowledged writes. `told`: the revisions of the watch's events.
    `failures`: the requests that failed. `watches`: how often the watch was opened."""

    def __init__(self, cluster: Running, tenant: str, workload: str) -> None:
        self.written: list[int] = []
        self.reported: list[int] = []
        self.failures: list[str] = []
        self.watches = self._last = 0
        self._url = f"{cluster.description[ADMIN]['server']}/apis/workload.metal3.io/v1alpha1/namespaces/{tenant}/workloads"
        self._workload, self._tenant = workload, tenant
        self._context = ssl.create_default_context(cadata=cluster._cluster_ca())
        self._context.load_cert_chain(*cluster.admin_identity())
        self._ended = threading.Event()
        self._broken: list[str] = []
        self._threads = [threading.Thread(target=work, daemon=True) for work in (self._write, self._watch)]

    def __enter__(self) -> Load:
        with self._ask("GET", "?limit=1") as answer:
            self._version = str(json.load(answer)["metadata"]["resourceVersion"])
        for thread in self._threads:
            thread.start()
        self.go_on()
        return self

    def go_on(self) -> None:
        """Wait until three more writes are acknowledged, and the watch has shown them."""
        before = len(self.written)
        eventually(
            lambda: not self._broken and len(self.written) > before + 2 and self.written[before + 2] in self.reported, seconds=SECONDS
        )

    def __exit__(self, *error: object) -> None:
        writer, watcher = self._threads
        self._ended.set()
        writer.join(SECONDS)
        self._last = self.written[-1]
        eventually(lambda: self._label("last"), seconds=SECONDS)  # its event ends the watch
        watcher.join(SECONDS)

    def check(self) -> None:
        """Check, after the block, that the watch has shown every write once, in order, without a
        new list."""
        assert not any(thread.is_alive() for thread in self._threads)
        assert self._broken == []
        assert self.reported == sorted(set(self.reported))
        assert set(self.written) <= set(self.reported)

    def _ask(self, method: str, rest: str, body: Any = None) -> Any:
        headers = {"Content-Type": "application/merge-patch+json", "Impersonate-User": self._tenant}
        data = None if body is None else json.dumps(body).encode()
        request = urllib.request.Request(self._url + rest, data, headers, method=method)
        return urllib.request.urlopen(request, context=self._context, timeout=REQUEST_SECONDS)

    def _write(self) -> None:
        number = 0
        while not self._ended.wait(PAUSE_SECONDS):
            number += 1
            self._label(str(number))

    def _label(self, value: str) -> bool:
        """Return whether this write was acknowledged."""
        try:
            with self._ask("PATCH", f"/{self._workload}", {"metadata": {"labels": {"counter": value}}}) as answer:
                self.written.append(int(json.load(answer)["metadata"]["resourceVersion"]))
        except FAILURES as error:
            self.failures.append(f"patch {value}: {error!r}")
            return False
        return True

    def _watch(self) -> None:
        """Watch until the event of the last write has arrived."""
        while not self._broken and not self._complete():
            self.watches += 1
            try:
                with self._ask("GET", f"?watch=1&allowWatchBookmarks=true&timeoutSeconds=300&resourceVersion={self._version}") as answer:
                    self._read(answer)
            except FAILURES as error:
                self.failures.append(f"watch: {error!r}")
                if isinstance(error, urllib.error.HTTPError) and error.code == 410:
                    self._broken.append("the watch has to list again")
                self._ended.wait(PAUSE_SECONDS)

    def _read(self, answer: Any) -> None:
        for line in answer:
            event = json.loads(line)
            if event["type"] == "ERROR":
                self._broken.append(f"watch: {event['object']}")
                return
            self._version = event["object"]["metadata"]["resourceVersion"]
            if event["type"] != "BOOKMARK":
                self.reported.append(int(self._version))
            if self._complete():
                return

    def _complete(self) -> bool:
        return bool(self.reported) and 0 < self._last < self.reported[-1]
