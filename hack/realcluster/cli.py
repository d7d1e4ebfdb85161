"""Implement the command line of `hack/cluster`."""

from __future__ import annotations

import argparse
import asyncio
import signal
import sys
from pathlib import Path

from hack.realcluster.client import ApiError
from hack.realcluster.processes import ProcessError
from hack.realcluster.settings import Folder, Settings
from hack.realcluster.up import Up, down, progress, restart

DEFAULTS = Settings()
GATEWAY = "overlays/gateway"


def main(arguments: list[str] | None = None) -> int:
    """Run the command. Return the exit code."""
    options = parser().parse_args(arguments)
    root = options.dir.resolve()
    try:
        if options.command == "down":
            return _down(root)
        if options.command == "restart":
            asyncio.run(restart(Folder(root), options.name, gently=not options.kill))
            return 0
        asyncio.run(_up(Up(_settings(options), Folder(root), progress())))
    except (ProcessError, ApiError, KeyError, ValueError, OSError) as error:
        print(f"hack/cluster: {error.args[0] if isinstance(error, KeyError) else error}", file=sys.stderr)
        return 1
    except ExceptionGroup as group:
        for line in _leaves(group):
            print(f"hack/cluster: {line}", file=sys.stderr)
        return 1
    except (KeyboardInterrupt, asyncio.CancelledError):
        print("hack/cluster: interrupted; everything was ended", file=sys.stderr)
        return 130
    print(f"export KUBECONFIG={Folder(root).management}")
    return 0


def parser() -> argparse.ArgumentParser:
    """Return the parser for the arguments of `hack/cluster`."""
    result = argparse.ArgumentParser(prog="hack/cluster", description="Two real Kubernetes control planes with this project between them.")
    commands = result.add_subparsers(dest="command", required=True)
    up = commands.add_parser("up", help="start everything and return when it is ready")
    up.add_argument("dir", type=Path, help="an empty or new folder for kubeconfigs, cluster.json, logs and data")
    up.add_argument("--storage", choices=("sqlite", "etcd"), default=DEFAULTS.storage, help="where the API server keeps its objects")
    up.add_argument("--hosts", type=int, default=DEFAULTS.hosts, help="how many hosts the hardware cluster has")
    up.add_argument("--bmo", choices=("simulated", "none"), default=DEFAULTS.bmo, help="what drives the hosts")
    up.add_argument(
        "--bmo-speed", type=float, default=DEFAULTS.bmo_speed, help="factor on the simulated BMO's durations: 1 is seconds for each state"
    )
    up.add_argument("--inspected", action="store_true", help="make the hosts as inspected and available already (always with --bmo none)")
    up.add_argument("--server", choices=("on", "off"), default="on", help="off: the two Kubernetes control planes only")
    up.add_argument("--controllers", choices=("on", "off"), default="on", help="off: the API server without its controllers")
    up.add_argument("--tenants", default=",".join(DEFAULTS.tenants), help="names of tenants' namespaces, separated by commas")
    up.add_argument("--target", action="store_true", help="a third control plane to move to, which relays the first tenant's hosts")
    up.add_argument("--overlay", default=DEFAULTS.overlay, help="the manifests that are installed, such as overlays/beside-bmo, or none")
    up.add_argument("--bmo-kind", action="store_true", help="BMO's own BareMetalHost in the management cluster, too")
    up.add_argument(
        "--one-cluster", action="store_true", help="the hardware in the management cluster, and overlays/gateway for its tenants"
    )
    up.add_argument("--program", type=Path, help="another version's metal3-workloads to run as serve and as controllers")
    up.add_argument("--fsync", choices=("on", "off"), default="on", help="off: etcd does not wait for the disk")
    up.add_argument("--audit", choices=("on", "off"), default="on", help="off: the API server keeps no audit log")
    end = commands.add_parser("down", help="end everything that runs for a folder; its files stay")
    end.add_argument("dir", type=Path, help="the folder given to up")
    again = commands.add_parser(
        "restart", help="end one process and start it again with the same arguments, without waiting for its readiness"
    )
    again.add_argument("dir", type=Path, help="the folder given to up")
    again.add_argument("name", help="a name in DIR/processes.jsonl, such as apiserver, controllers or management-kube-apiserver")
    again.add_argument("--kill", action="store_true", help="by SIGKILL, as a crash")
    return result


def _settings(options: argparse.Namespace) -> Settings:
    return Settings(
        storage=options.storage,
        hosts=options.hosts,
        bmo=options.bmo,
        bmo_speed=options.bmo_speed,
        inspected=options.inspected,
        server=options.server == "on",
        controllers=options.controllers == "on",
        tenants=tuple(name for name in options.tenants.split(",") if name),
        fsync=options.fsync == "on",
        audit=options.audit == "on",
        target=options.target,
        overlay=GATEWAY if options.one_cluster else options.overlay,
        bmo_kind=options.bmo_kind,
        one_cluster=options.one_cluster,
        program=options.program,
    )


async def _up(up: Up) -> None:
    task = asyncio.current_task()
    if task is not None:
        # As with Ctrl-C, ending this command must not leave ten processes behind.
        asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, task.cancel)
    await up.run()


def _down(root: Path) -> int:
    killed = asyncio.run(down(root))
    for name in killed:
        print(f"hack/cluster: {name} did not end within its deadline and was killed; see {root / 'logs' / name}.log", file=sys.stderr)
    return 0


def _leaves(group: BaseExceptionGroup[BaseException]) -> list[str]:
    lines: list[str] = []
    for error in group.exceptions:
        lines += _leaves(error) if isinstance(error, BaseExceptionGroup) else [str(error) or repr(error)]
    return lines
