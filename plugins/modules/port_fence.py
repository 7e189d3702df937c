#!/usr/bin/python
# Copyright: (c) 2026, Windward contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)

from __future__ import annotations

DOCUMENTATION = r"""
module: port_fence
short_description: Let only some addresses reach some TCP ports
version_added: 0.1.0
author: Windward contributors (@windward)
description:
  - Keeps one nftables table of its own, in which a packet to one of O(ports) passes when it comes from one of
    O(sources) or over the loopback interface, and is dropped otherwise. All other packets pass this table.
  - No other table is read or changed. What another one drops stays dropped, since a packet must pass them all.
  - Compares with what the kernel has, so a table that somebody emptied, changed or flushed is loaded again.
  - Writes the table to O(path) too, for a unit that loads it when the host starts.
options:
  table:
    description: Name of the table, of family C(inet).
    type: str
    required: true
  path:
    description: The file, as C(nft --json --file) reads it.
    type: path
    required: true
  ports:
    description: The ports.
    type: list
    elements: int
    default: []
  sources:
    description: IPv4 and IPv6 addresses.
    type: list
    elements: str
    default: []
  state:
    description: V(absent) removes the table and the file.
    type: str
    choices: [present, absent]
    default: present
requirements:
  - nft on the host
attributes:
  check_mode:
    support: full
    description: Says whether the table or the file would be changed.
  diff_mode:
    support: full
    description: Shows the ports and sources in a short form.
"""

EXAMPLES = r"""
- name: Let the api-servers alone read the worker's logs
  windward.airflow.port_fence:
    table: windward_airflow
    path: /etc/nftables-airflow.json
    ports: [8793]
    sources: [10.0.0.11, 10.0.0.12]
"""

RETURN = r"""
loaded:
  description: Whether the kernel's table was loaded or removed, or would be in check mode.
  returned: always
  type: bool
  sample: true
"""

import ipaddress
import json
import os
import tempfile
from typing import Any

from ansible.module_utils.basic import AnsibleModule

CHAIN = "input"


def match(left: dict[str, Any], values: list[Any]) -> dict[str, Any]:
    return {"match": {"op": "==", "left": left, "right": {"set": values}}}


def rules(ports: list[int], sources: list[str]) -> list[list[dict[str, Any]]]:
    """Return the expressions of each rule."""
    to_port = match({"payload": {"protocol": "tcp", "field": "dport"}}, sorted(set(ports)))
    local = {"match": {"op": "==", "left": {"meta": {"key": "iifname"}}, "right": "lo"}}
    found: list[list[dict[str, Any]]] = [[local, {"accept": None}]]
    addresses = sorted({ipaddress.ip_address(source) for source in sources}, key=str)
    for protocol, version in (("ip", 4), ("ip6", 6)):
        known = [str(address) for address in addresses if address.version == version]
        if known:
            left = {"payload": {"protocol": protocol, "field": "saddr"}}
            found.append([match(left, known), to_port, {"accept": None}])
    return [*found, [to_port, {"drop": None}]] if ports else []


def commands(table: str, ports: list[int], sources: list[str]) -> list[dict[str, Any]]:
    """Return what replaces the table in one transaction, whether it is there or not."""
    name = {"family": "inet", "name": table}
    chain = {"family": "inet", "table": table, "name": CHAIN, "type": "filter", "hook": "input", "prio": 0,
             "policy": "accept"}
    added = [{"add": {"rule": {"family": "inet", "table": table, "chain": CHAIN, "expr": expression}}}
             for expression in rules(ports, sources)]
    return [{"add": {"table": name}}, {"delete": {"table": name}}, {"add": {"table": name}}, {"add": {"chain": chain}},
            *added]


def plain(value: Any) -> Any:
    """Return an expression in one form: nft lists a set of one as its element, and others in an order of its own."""
    if isinstance(value, dict) and set(value) == {"set"}:
        members = value["set"] if isinstance(value["set"], list) else [value["set"]]
        return sorted(map(str, members))
    if isinstance(value, dict):
        right = value.get("right")
        if value.get("op") == "==" and isinstance(right, (int, str)):
            value = {**value, "right": {"set": [right]}}
        return {key: plain(element) for key, element in value.items()}
    return [plain(element) for element in value] if isinstance(value, list) else value


def shape(listed: list[dict[str, Any]]) -> list[Any]:
    """Return what a table does, without handles: its chains and rules, and whatever else is in it, in order."""
    found: list[Any] = []
    for entry in listed:
        for kind, content in entry.items():
            if kind == "rule":
                found.append([content["chain"], plain(content["expr"])])
            elif kind == "chain":
                found.append({key: content.get(key) for key in ("name", "type", "hook", "prio", "policy")})
            elif kind == "table" and content.get("flags"):
                found.append(content["flags"])  # such as dormant
            elif kind not in ("metainfo", "table"):
                found.append(kind)
    return found


def write(path: str, text: str) -> None:
    """Replace a file by rename, so that no reader ever sees half of it."""
    handle, partial = tempfile.mkstemp(dir=os.path.dirname(path), prefix=".partial-")
    try:
        with os.fdopen(handle, "w", encoding="utf-8") as stream:
            stream.write(text)
            os.fchmod(handle, 0o644)
        os.replace(partial, path)
    except BaseException:
        os.unlink(partial)
        raise


class Nft:
    """The command line of nftables."""

    def __init__(self, module: AnsibleModule) -> None:
        self.module = module
        self.path = module.get_bin_path("nft", required=module.params["state"] == "present")

    def listed(self, table: str) -> list[dict[str, Any]] | None:
        """Return the kernel's table, or None."""
        if not self.path:
            return None
        tables = json.loads(self.run("--json", "list", "tables"))["nftables"]
        if {"family": "inet", "name": table} not in [
            {key: entry["table"][key] for key in ("family", "name")} for entry in tables if "table" in entry
        ]:
            return None
        return json.loads(self.run("--json", "list", "table", "inet", table))["nftables"]

    def run(self, *argv: str) -> str:
        code, out, err = self.module.run_command([self.path, *argv])
        if code:
            self.module.fail_json(msg="nft {} failed: {}".format(" ".join(argv), (err or out).strip()))
        return out


def told(ports: list[int], sources: list[str]) -> str:
    return "".join(f"{source} may reach {', '.join(map(str, sorted(ports)))}\n" for source in sorted(sources))


def main() -> None:
    module = AnsibleModule(
        argument_spec={
            "table": {"type": "str", "required": True},
            "path": {"type": "path", "required": True},
            "ports": {"type": "list", "elements": "int", "default": []},
            "sources": {"type": "list", "elements": "str", "default": []},
            "state": {"type": "str", "choices": ["present", "absent"], "default": "present"},
        },
        supports_check_mode=True,
    )
    table, path, ports, sources = (module.params[name] for name in ("table", "path", "ports", "sources"))
    nft = Nft(module)
    try:
        wanted = commands(table, ports, sources)
    except ValueError as error:
        module.fail_json(msg=f"sources: {error}")
    text = json.dumps({"nftables": wanted}, indent=1) + "\n"
    there = nft.listed(table)
    before = None
    if os.path.exists(path):
        with open(path, encoding="utf-8") as stream:
            before = stream.read()

    if module.params["state"] == "absent":
        if not module.check_mode:
            if there is not None:
                nft.run("delete", "table", "inet", table)
            if before is not None:
                os.unlink(path)
        module.exit_json(changed=there is not None or before is not None, loaded=there is not None,
                         diff={"before": "a table\n" if there is not None else "", "after": ""})

    load = there is None or shape(there) != shape([entry["add"] for entry in wanted if "add" in entry])
    if not module.check_mode:
        if before != text:
            write(path, text)
        if load:
            nft.run("--json", "--file", path)
    module.exit_json(changed=load or before != text, loaded=load,
                     diff={"before": "another table, or none\n" if load else told(ports, sources),
                           "after": told(ports, sources)})


if __name__ == "__main__":
    main()
