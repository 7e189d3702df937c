# Copyright: (c) 2026, Windward contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Every TCP port of every host, as seen from here and from the hosts, against the table that the contract gives.

Also a program, which needs the standard library alone so that it runs on a host, too: `ports.py ADDRESS...` prints the
open ports of each address as JSON.
"""

from __future__ import annotations

import asyncio
import errno
import ipaddress
import json
import resource
import shlex
import sys
from pathlib import Path
from typing import Any

TIMEOUT = 4.0  # of a port that says nothing, which a firewall makes of it; on one network others answer in a moment
AT_A_TIME = 700


async def is_open(address: str, port: int) -> bool:
    try:
        async with asyncio.timeout(TIMEOUT):
            _reader, writer = await asyncio.open_connection(address, port)
    except TimeoutError:
        return False
    except OSError as error:
        # Anything else than "nobody listens" would be a hole in the scan.
        if error.errno not in (errno.ECONNREFUSED, errno.EHOSTUNREACH, errno.EACCES, errno.EPERM):
            raise
        return False
    writer.transport.abort()
    return True


async def open_ports(address: str) -> list[int]:
    """All open ports among 1 to 65535."""
    found: list[int] = []
    ports = iter(range(1, 65536))

    async def look() -> None:
        for port in ports:
            if await is_open(address, port):
                found.append(port)

    await asyncio.gather(*(look() for _one in range(AT_A_TIME)))
    return sorted(found)


def scanned(addresses: list[str]) -> dict[str, list[int]]:
    """The open ports of addresses, from where this runs."""
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(hard, 4096) if hard > 0 else 4096, hard))
    return {address: asyncio.run(open_ports(address)) for address in addresses}


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
    everywhere = "::" if ":" in address else "0.0.0.0"
    return sorted({
        row["port"] for row in rows
        if {address, everywhere} & set(row["addresses"]) and (not row["clients"] or asker in row["clients"])
    })


def differences(deployment: Any, askers: list[str], more: dict[str, list[int]] | None = None) -> list[str]:
    """Where scans from ``askers`` ("" is this computer) and the table disagree, in words; no list means nowhere."""
    rows, said = table(deployment), []
    places = {address: host for host in rows for address in own_addresses(deployment, host)}
    for asker in askers:
        others = [address for address, host in places.items() if host != asker]
        found = scanned_from(deployment, asker, others) if asker else scanned(others)
        for address, ports in found.items():
            host = places[address]
            wanted = sorted({*expected(rows[host], address, asker), *(more or {}).get(host, [])})
            if ports != wanted:
                said.append(f"{asker or 'this computer'} finds {ports} open on {host} ({address}), not {wanted}")
    return said


if __name__ == "__main__":
    print(json.dumps(scanned(sys.argv[1:])))
