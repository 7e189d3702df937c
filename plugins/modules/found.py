#!/usr/bin/python
# Copyright: (c) 2026, Windward contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)

from __future__ import annotations

DOCUMENTATION = r"""
module: found
short_description: Look at a host, and refuse what cannot be there
version_added: 0.1.0
author: Windward contributors (@windward)
description:
  - Reads in one run what decides whether a host can carry its part of the deployment. Changes nothing.
  - Its half on the controller fills in the options from the variables of the host, and fails if a rule refuses what was
    found. The rules are listed in the README of role C(windward.airflow.preflight). The entry point C(found) of role
    C(windward.airflow.airflow) uses this.
options:
  directories:
    description: Directories whose file systems are looked at; they need not exist.
    type: list
    elements: path
    default: []
  install_dir:
    description: Directory of the releases.
    type: path
  python:
    description: The Python that releases are built on.
    type: path
  ports:
    description: TCP ports whose holders are named. Other users' processes are named only to root.
    type: list
    elements: int
    default: []
  names:
    description: Names and addresses of hosts that are resolved as this host does it.
    type: list
    elements: str
    default: []
  broker_url:
    description: URL of a Redis server that is asked, by a log-in and two questions, whether it can be Celery's broker.
    type: str
attributes:
  action:
    support: full
    description: The options are filled in on the controller.
  check_mode:
    support: full
    description: Never changes anything.
  diff_mode:
    support: none
    description: Never changes anything.
  platform:
    platforms: linux
    support: full
    description: Reads C(/proc).
"""

EXAMPLES = r"""
- name: Look at the host, and stop if it can't carry what is to run there
  windward.airflow.found:
  register: __airflow_found
"""

RETURN = r"""
found:
  description: What was found.
  returned: always
  type: dict
  sample:
    system: {id: debian, version: "12", codename: bookworm, architecture: x86_64}
    python: {path: /usr/bin/python3, version: 3.11.2}
    systemd: {version: "252", running: true}
    memory_mb: 3924
    cpus: 2
    ipv6: true
    disks:
      /opt/airflow: {device: "2049", free_mb: 18321}
    ports:
      "8080": {process: nginx, pid: 512, unit: nginx.service}
    resolved: {db.example.org: [10.0.0.7]}
    release: {path: /opt/airflow/releases/3.3.2-0f3a, airflow: 3.3.2}
    postgresql: [15/main]
    packages: [ca-certificates, python3-venv]
    users:
      - {name: airflow, group: airflow, home: /var/lib/airflow/control, shell: /usr/sbin/nologin}
    units: [airflow-scheduler.service]
    digests: {scheduler: 0f5c1c9a4f2b}
    queues: [default, heavy]
    broker: {problem: "", open: false, policy: noeviction}
    time: 1795168800.5
    clock_skew: 0.0
"""

import grp
import json
import os
import platform
import pwd
import re
import socket
import time
from pathlib import Path
from typing import Any

from ansible.module_utils.basic import AnsibleModule

from ..module_utils import _redis

UNITS = Path("/etc/systemd/system")


def read(path: str | Path) -> str:
    """The text of a file; nothing when it isn't there, may not be read, or its process is gone."""
    try:
        return Path(path).read_text(encoding="utf-8", errors="replace")
    except OSError:
        return ""


def system() -> dict[str, str]:
    release = dict(re.findall(r'^(\w+)="?([^"\n]*)"?$', read("/etc/os-release"), re.MULTILINE))
    return {
        "id": release.get("ID", ""),
        "version": release.get("VERSION_ID", ""),
        "codename": release.get("VERSION_CODENAME", ""),
        "architecture": platform.machine(),
    }


def disk(directory: str) -> dict[str, Any]:
    """The file system that the directory is on, or will be."""
    path = Path(directory)
    while not path.exists():
        path = path.parent
    space = os.statvfs(path)
    return {"device": str(path.stat().st_dev), "free_mb": space.f_bavail * space.f_frsize // 1024**2}


def listeners(ports: list[int]) -> dict[int, dict[str, Any]]:
    """Who listens on the ports. Looks at the processes only if somebody does."""
    sockets: dict[str, int] = {}
    for line in (read("/proc/net/tcp") + read("/proc/net/tcp6")).splitlines():
        fields = line.split()
        port = int(fields[1].rpartition(":")[2], 16) if fields[3] == "0A" else 0
        if port in ports:
            sockets[f"socket:[{fields[9]}]"] = port
    # A server's children share its socket: the oldest process is the one that a person would stop.
    pids: dict[int, int] = {}
    for descriptor in Path("/proc").glob("[0-9]*/fd/*") if sockets else ():
        try:
            socket = str(descriptor.readlink())
        except OSError:
            continue
        if socket in sockets:
            pid = int(descriptor.parts[2])
            pids[sockets[socket]] = min(pid, pids.get(sockets[socket], pid))
    return {port: process(pids.get(port, 0)) for port in sockets.values()}


def process(pid: int) -> dict[str, Any]:
    """Name and unit, by the hierarchy that systemd keeps, whether cgroups are v1 or v2. Nothing when unknown (0)."""
    hierarchies = r"^(?:0:|\d+:name=systemd):.*?/([^/\n]+\.(?:service|scope))$"
    units = re.findall(hierarchies, read(f"/proc/{pid}/cgroup"), re.MULTILINE)
    try:
        name = Path(f"/proc/{pid}/exe").readlink().name
    except OSError:
        name = read(f"/proc/{pid}/comm").strip()
    return {"process": name, "pid": pid, "unit": units[0] if units else ""}


def resolved(name: str) -> list[str]:
    """The addresses of a name; none when it is unknown here."""
    try:
        return sorted({str(answer[4][0]) for answer in socket.getaddrinfo(name, None, type=socket.SOCK_STREAM)})
    except (OSError, UnicodeError):
        return []


def release(install_dir: str) -> dict[str, str]:
    """The release that `current` points at, with what it says of itself."""
    path = Path(install_dir, "current")
    if not path.is_dir():
        return {}
    try:
        said = json.loads(read(path / "release.json"))
    except ValueError:
        said = None
    return {"path": str(path.resolve()), "airflow": str(said.get("airflow", "")) if isinstance(said, dict) else ""}


def python(module: AnsibleModule, path: str) -> str:
    """The version of an interpreter; isolated and without site, so that nothing of the user's runs."""
    if not os.access(path, os.X_OK):
        return ""
    code, said, _err = module.run_command([path, "-IS", "-c", "import platform; print(platform.python_version())"])
    return said.strip() if code == 0 else ""


def systemd(module: AnsibleModule) -> str:
    systemctl = module.get_bin_path("systemctl")
    said = re.match(r"systemd (\d+)", module.run_command([systemctl, "--version"])[1]) if systemctl else None
    return said[1] if said else ""


def packages() -> list[str]:
    """Debian packages that are installed, read where dpkg keeps them; nothing on other systems."""
    status = read("/var/lib/dpkg/status")
    return sorted(re.findall(r"^Package: (\S+)\nStatus: \S+ ok installed$", status, re.MULTILINE))


def queues() -> list[str]:
    """The queues that the worker of this host consumes, by its unit."""
    said = re.search(r"^ExecStart=.* --queues (\S+)", read(UNITS / "airflow-worker.service"), re.MULTILINE)
    return said[1].split(",") if said else []


def users() -> list[dict[str, str]]:
    """The accounts of the host; a group without a name is given by its number."""
    names = {group.gr_gid: group.gr_name for group in grp.getgrall()}
    return [
        {"name": user.pw_name, "group": names.get(user.pw_gid, str(user.pw_gid)), "home": user.pw_dir,
         "shell": user.pw_shell}
        for user in pwd.getpwall()
    ]


def main() -> None:
    module = AnsibleModule(
        argument_spec={
            "directories": {"type": "list", "elements": "path", "default": []},
            "install_dir": {"type": "path"},
            "python": {"type": "path"},
            "ports": {"type": "list", "elements": "int", "default": []},
            "names": {"type": "list", "elements": "str", "default": []},
            "broker_url": {"type": "str", "no_log": True},
        },
        supports_check_mode=True,
    )
    given = module.params
    memory = re.search(r"^MemTotal:\s+(\d+)", read("/proc/meminfo"), re.MULTILINE)
    module.exit_json(
        changed=False,
        found={
            "system": system(),
            "python": {"path": given["python"], "version": python(module, given["python"]) if given["python"] else ""},
            # What sd_booted(3) looks at.
            "systemd": {"version": systemd(module), "running": Path("/run/systemd/system").is_dir()},
            "memory_mb": int(memory[1]) // 1024 if memory else 0,
            "cpus": len(os.sched_getaffinity(0)),
            "ipv6": bool(read("/proc/net/if_inet6")),
            "disks": {directory: disk(directory) for directory in given["directories"]},
            "ports": listeners(given["ports"]),
            "resolved": {name: resolved(name) for name in given["names"]},
            "release": release(given["install_dir"]) if given["install_dir"] else {},
            "postgresql": sorted("/".join(path.parts[-2:]) for path in Path("/etc/postgresql").glob("*/*")),
            "packages": packages(),
            "users": users(),
            "units": sorted(path.name for path in UNITS.glob("airflow-*.service")),
            "digests": {path.stem: read(path).strip() for path in Path("/run/airflow").glob("*.digest")},
            "queues": queues(),
            "broker": _redis.look(given["broker_url"]) if given["broker_url"] else {},
            "time": time.time(),
        },
    )


if __name__ == "__main__":
    main()
