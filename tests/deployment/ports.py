# Copyright: (c) 2026, Windward contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Every TCP port of every host, as seen from here and from the hosts, against the table that the contract gives.

Also a program, which needs the standard library alone so that it runs on a host, too: `ports.py ADDRESS...` prints the
open ports of each address as JSON.
"""

from __future__ import annotations

import errno
import ipaddress
import json
import os
import resource
import select
import shlex
import socket
import sys
import time
from collections.abc import Collection
from pathlib import Path
from typing import Any

TIMEOUT = 4.0  # for ports that say nothing, which a firewall makes of them; on one network others answer in a moment
AT_A_TIME = 1000
CLOSED = {errno.ECONNREFUSED, errno.EHOSTUNREACH, errno.EACCES, errno.EPERM}


def open_ports(address: str) -> list[int]:
    """All open ports among 1 to 65535."""
    found = [port for first in range(1, 65536, AT_A_TIME)
             for port in answering(address, range(first, min(first + AT_A_TIME, 65536)))]
    return sorted(found)


def answering(address: str, ports: range) -> list[int]:
    """Those of some ports that take a connection; all are asked at once."""
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    asked: dict[int, tuple[int, socket.socket]] = {}
    found, poll = [], select.poll()
    for port in ports:
        one = socket.socket(family, socket.SOCK_STREAM | socket.SOCK_NONBLOCK)
        asked[one.fileno()] = port, one
        if answered(port, one.connect_ex((address, port)), found):
            asked.pop(one.fileno())[1].close()
        else:
            poll.register(one, select.POLLOUT)
    end = time.monotonic() + TIMEOUT
    while asked and (left := end - time.monotonic()) > 0:
        for number, _event in poll.poll(left * 1000):
            poll.unregister(number)
            port, one = asked.pop(number)
            answered(port, one.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR), found)
            one.close()
    for _port, one in asked.values():
        one.close()
    return found


def answered(port: int, code: int, found: list[int]) -> bool:
    """Tell whether that was the answer. One that says neither yes nor no would be a hole in the scan."""
    if code == errno.EINPROGRESS:
        return False
    if code not in CLOSED | {0}:
        raise OSError(code, os.strerror(code), str(port))
    if code == 0:
        found.append(port)
    return True


def scanned(addresses: list[str]) -> dict[str, list[int]]:
    """The open ports of addresses, from where this runs."""
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(hard, 4096) if hard > 0 else 4096, hard))
    return {address: open_ports(address) for address in addresses}


def scanned_from(deployment: Any, host: str, addresses: list[str]) -> dict[str, list[int]]:
    """The open ports of addresses, as a host of the deployment sees them."""
    program = Path(__file__).read_text(encoding="utf-8")
    assert "'PROGRAM'" not in program.partition("def scanned_from")[0]
    script = f"python3 - {shlex.join(addresses)} <<'PROGRAM'\n{program}\nPROGRAM\n"
    return json.loads(deployment.shell(script, host))


def own_addresses(deployment: Any, host: str) -> list[str]:
    """The addresses of a host that another one can ask; those of a link alone can't be asked without naming it."""
    listed = json.loads(deployment.shell("ip -json address show", host))
    found = [ipaddress.ip_address(one["local"]) for link in listed for one in link["addr_info"]]
    return [str(one) for one in found if not (one.is_loopback or one.is_link_local)]


def table(deployment: Any) -> dict[str, list[dict[str, Any]]]:
    """What the contract says of each host of the inventory."""
    run = deployment.play(Path(__file__).with_name("port_table.yml"))
    return next(result["msg"] for _task, _host, result in run.results("Say what listens"))


def expected(rows: list[dict[str, Any]], address: str, asker: str) -> list[int]:
    """The ports of a host that ``asker`` (a host, or nobody's name) finds open at one of its addresses."""
    sixth = ":" in address
    # Who may come in is known by an address of the inventory, and those are of version 4.
    return sorted({
        row["port"] for row in rows
        if {address, "::" if sixth else "0.0.0.0"} & set(row["addresses"])
        and (not row["clients"] or (asker in row["clients"] and not sixth))
    })


def differences(deployment: Any, askers: list[str], hosts: Collection[str] = ()) -> list[str]:
    """Where scans of ``hosts`` (all of them) from ``askers`` ("" is this computer) and the table disagree, in words."""
    rows, said = table(deployment), []
    places = {address: host for host in hosts or rows for address in own_addresses(deployment, host)}
    for asker in askers:
        others = [address for address, host in places.items() if host != asker]
        assert {":" in address for address in others} == {True, False}, "both versions of IP"
        found = scanned_from(deployment, asker, others) if asker else scanned(others)
        for address, ports in found.items():
            host = places[address]
            wanted = expected(rows[host], address, asker)
            if ports != wanted:
                said.append(f"{asker or 'this computer'} finds {ports} open on {host} ({address}), not {wanted}")
    return said


if __name__ == "__main__":
    print(json.dumps(scanned(sys.argv[1:])))
