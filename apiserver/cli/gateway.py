"""Define the gateway's flags of `serve`, and create the gateway's settings from them."""

from __future__ import annotations

import argparse
from pathlib import Path

from apiserver.apis import metal3
from apiserver.cli.flowcontrol import flow_control
from apiserver.cli.numbers import port
from apiserver.cli.running import UsageError
from apiserver.gateway.gateway import Settings
from apiserver.gateway.upstream import Upstream
from apiserver.registry.catalog import Catalog, gateway_views
from apiserver.server.delegation.delegation import Delegation

OTHERS = ("gateway_port_file", "gateway_tls_cert_file", "gateway_tls_private_key_file", "gateway_tls_san")


def add_gateway_flags(parser: argparse.ArgumentParser) -> None:
    """Add the flags."""
    group = parser.add_argument_group(
        "gateway", "An endpoint for tenants of a cluster that has the Baremetal Operator, too (docs/gateway.md)."
    )
    group.add_argument(
        "--gateway",
        action="store_true",
        help=f"serve a second port that looks like kube-apiserver, and has the BareMetalHost view in {metal3.GROUP}; all other requests "
        "pass to kube-apiserver with the caller's own bearer token",
    )
    group.add_argument("--gateway-bind-address", default="127.0.0.1", metavar="IP", help="address of that port (default: 127.0.0.1)")
    group.add_argument("--gateway-port", type=port, default=6444, metavar="P", help="the port (default: 6444; 0: any free one)")
    group.add_argument("--gateway-port-file", type=Path, metavar="FILE", help="write the gateway's port there once it answers")
    group.add_argument("--gateway-tls-cert-file", type=Path, metavar="FILE", help="the gateway's certificate and intermediates, PEM")
    group.add_argument("--gateway-tls-private-key-file", type=Path, metavar="FILE", help="its key, PEM, unencrypted")
    group.add_argument(
        "--gateway-tls-san", nargs="+", action="extend", default=[], metavar="NAME", help="names in the gateway's self-made certificate"
    )


def check_gateway(arguments: argparse.Namespace) -> None:
    """Raise UsageError for flags that do not fit together."""
    if not arguments.gateway:
        given = [name for name in OTHERS if getattr(arguments, name)]
        if given:
            raise UsageError(f"--{given[0].replace('_', '-')} is for the gateway: give --gateway as well")
        return
    if (arguments.gateway_tls_cert_file is None) != (arguments.gateway_tls_private_key_file is None):
        raise UsageError(
            "--gateway-tls-cert-file and --gateway-tls-private-key-file belong together: give both, or none for a self-made certificate"
        )
    if arguments.host_view_group == metal3.GROUP:
        raise UsageError(
            f"--gateway serves the view in {metal3.GROUP} beside the Baremetal Operator's kind, so kube-apiserver must know it by another "
            "group: give --host-view-group=workload.metal3.io, as manifests/overlays/beside-bmo does"
        )


def gateway_settings(arguments: argparse.Namespace, catalog: Catalog, delegation: Delegation) -> Settings | None:
    """Return the settings of the gateway, or None without it. Call this before the cache starts."""
    if not arguments.gateway:
        return None
    return Settings(
        views=gateway_views(catalog),
        view_group=arguments.host_view_group,
        upstream=Upstream(arguments.kubeconfig),
        tokens=delegation.tokens,
        vouching=delegation.trust.vouching,
        flow_control=flow_control(arguments),
    )
