"""Check that nothing in an object controls a terminal, or looks like another line, whatever shows it."""

from __future__ import annotations

from typing import Any

import pytest

from controllers.cli import drain, fleet, history, usage, why
from controllers.cli.tables import PLAIN, Screen
from controllers.drain import progress
from controllers.fleetreport import gang_row, why_set
from controllers.fleetreport import why as explained
from controllers.usage import report
from tests.unit.controllers.test_drain import holder
from tests.unit.controllers.test_fleetreport import CLAIM, gang_member, host, set_, workload

EVIL = "\x1b[2J\x9b31m\u202e\r\nFORGED [red]markup[/red] [link=http://x]:smile:"
TIMES = {"boundAt": "2026-03-01T00:00:00Z", "releasedAt": "2026-03-09T00:00:00Z"}
KEPT = ("T00:00:00Z", "False", "True", "Pending")
SCREENS = [PLAIN, Screen(width=80), Screen(width=300)]


def hostile(value: Any) -> Any:
    """Return the object with EVIL behind every string that is no time or state."""
    if isinstance(value, dict):
        return {key: hostile(one) for key, one in value.items()}
    if isinstance(value, list):
        return [hostile(one) for one in value]
    return f"{value}{EVIL}" if isinstance(value, str) and not value.endswith(KEPT) else value


PAST = {"namespace": "tenant-a", "name": "web", "uid": "1", "image": "u", "lastError": "e", "outcome": "o", **TIMES}
HOSTS = [
    hostile(host("node-0", claim=CLAIM, reason="HostError", errorMessage="broken", history=[PAST])),
    hostile(host("node-1", available=False, reason="Quarantined", message="look at it")),
]
CONDITION = {"type": "Connected", "status": "False", "reason": "r", "message": "m"}
CLASS = hostile({"metadata": {"name": "metal"}, "status": {"conditions": [CONDITION]}})
WORKLOAD = hostile(workload())
USED = {"namespace": "tenant-a", "namespaceUID": "1", "className": "c", "size": "s", "allocatedSeconds": 60, "poweredOnSeconds": 0}
RECORD = hostile({"metadata": {"name": "h"}, "spec": {"intervals": [{**USED, "from": TIMES["boundAt"], "to": TIMES["releasedAt"]}]}})
MEMBER = hostile(gang_member(0))
SET = hostile(set_("CreationRefused", "refused"))
SET["metadata"]["uid"] = MEMBER["metadata"]["ownerReferences"][0]["uid"]


def texts(on: Screen) -> dict[str, str]:
    return {
        "fleet": fleet.shown([CLASS], HOSTS, [WORKLOAD], [SET], on=on),
        "tree": fleet.trees(HOSTS, on),
        "why": why.shown(explained(WORKLOAD, HOSTS, "uid-a"), on),
        "gang": why.shown({**explained(MEMBER, [], ""), "gang": gang_row(MEMBER, [MEMBER]), "workloadset": f"db{EVIL}"}, on),
        "set": why.shown(why_set(SET, [MEMBER]), on),
        "history": history.shown(HOSTS, on),
        "usage": usage.shown(report([RECORD], 0, 2**31, 2**31), on),
        "drain": drain.result([progress(HOSTS[0], hostile(holder())), progress(HOSTS[1], None)], on),
    }


@pytest.mark.parametrize("on", SCREENS, ids=str)
def test_no_command_prints_what_others_wrote_as_it_is(on: Screen) -> None:
    for command, text in texts(on).items():
        assert "FORGED" in text.replace("\n", ""), command
        controls = {char for char in text if not char.isprintable()} - {"\n"}
        assert not controls, command
        assert not [line for line in text.splitlines() if line.startswith("FORGED")] or on.width == 80, command
        assert "[red]" in text.replace("\n", "") or on.width == 80, f"{command}: markup is text"
