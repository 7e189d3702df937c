# Copyright: (c) 2026, Windward contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""The network of local VMs has IPv4 alone; for a while it gets the other one, too."""

from __future__ import annotations

import ipaddress
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager

import yaml
from deployment import Deployment
from ledger import as_root


@contextmanager
def ipv6(deployment: Deployment) -> Iterator[None]:
    """Meanwhile the hosts and this computer have addresses of IPv6 in their network, too."""
    settings = yaml.safe_load((deployment.inventory / "group_vars" / "all.yml").read_text(encoding="utf-8"))
    bridge, network = settings["airflow_local_vm_bridge"], ipaddress.ip_network(settings["airflow_local_vm_network"])
    with ExitStack() as undo:
        undo.callback(as_root, "ip", "address", "delete", sixth(network[1]), "dev", bridge)
        as_root("ip", "address", "replace", sixth(network[1]), "dev", bridge, "nodad")
        for host, address in deployment.addresses.items():
            change = "ip address {} " + sixth(ipaddress.ip_address(address)) + " dev host0"
            undo.callback(deployment.shell, change.format("delete"), host)
            deployment.shell(change.format("replace") + " nodad", host)
        yield


def sixth(address: ipaddress.IPv4Address) -> str:
    """An address of IPv6 for a host, made of its other one, in a range that nobody else has."""
    return f"fd5a:a1f0:{int(address) >> 16:x}:{int(address) >> 8 & 255:x}::{int(address) & 255:x}/64"
