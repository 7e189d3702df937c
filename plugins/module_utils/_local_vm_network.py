# Copyright: (c) 2026, Windward contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Local VMs: the bridge that they are on.

Private to this collection. Needs root.
"""

from __future__ import annotations

import json
import shlex
from pathlib import Path

from . import _local_vm as lv
from ._local_vm import Site
from ._local_vm_host import read, run


class Network:
    """The bridge, forwarding and the firewall rules. They vanish with a reboot and are derived again at each run."""

    def __init__(self, site: Site) -> None:
        self.site = site
        self.port_dir = Path("/sys/class/net", site.bridge, "brif")

    def problems(self) -> list[str]:
        """Another network in our place."""
        site, found = self.site, []
        for link in json.loads(run("ip", "-json", "-4", "address", check=False).stdout or "[]"):
            for item in link.get("addr_info", ()):
                address = f"{item['local']}/{item['prefixlen']}"
                if link["ifname"] == site.bridge and address != site.gateway:
                    found.append(f"interface {site.bridge} exists with address {address}, not {site.gateway}")
                elif link["ifname"] != site.bridge and lv.in_network(item["local"], site.network):
                    found.append("interface {} has {}, in {}".format(link["ifname"], address, site.network))
        if self.port_dir.parent.exists() and not self.port_dir.is_dir():
            found.append(f"interface {site.bridge} exists and is no bridge")
        return found

    def missing(self) -> list[list[str]]:
        """Commands that are still to be run."""
        site = self.site
        link = json.loads(run("ip", "-json", "address", "show", "dev", site.bridge, check=False).stdout or "[]")
        addresses = [item["local"] for item in link[0]["addr_info"]] if link else []
        commands = []
        if not link:
            commands.append(["ip", "link", "add", site.bridge, "type", "bridge", "forward_delay", "0"])
        if str(site.subnet[1]) not in addresses:
            commands.append(["ip", "address", "add", site.gateway, "dev", site.bridge])
        if not link or "UP" not in link[0]["flags"]:
            commands.append(["ip", "link", "set", site.bridge, "up"])
        if read("/proc/sys/net/ipv4/ip_forward").strip() != "1":
            commands.append(["sh", "-c", "echo 1 > /proc/sys/net/ipv4/ip_forward"])
        docker = not run("iptables", "-w", "-n", "-L", "DOCKER-USER", check=False).returncode
        for table, chain, *match in lv.rules(site, docker):
            if run("iptables", "-w", "-t", table, "-C", chain, *match, check=False).returncode:
                commands.append(["iptables", "-w", "-t", table, "-I", chain, *match])
        return commands

    def idle(self) -> bool:
        return not self.port_dir.is_dir() or not any(self.port_dir.iterdir())

    def present(self) -> list[list[str]]:
        """Commands that remove all of it, found by the rules' comment."""
        commands = []
        for table in ("nat", "filter"):
            for line in run("iptables", "-w", "-t", table, "-S", check=False).stdout.splitlines():
                if line.startswith("-A ") and self.site.comment in shlex.split(line):
                    commands.append(["iptables", "-w", "-t", table, "-D", *shlex.split(line)[1:]])
        if self.port_dir.is_dir():
            commands.append(["ip", "link", "delete", self.site.bridge])
        return commands
