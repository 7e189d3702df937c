# Copyright: (c) 2026, Windward contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)

"""Private to this collection. Which TCP ports a host listens on, by the contract and the inventory alone.

Preflight asks it for clashes, the firewall for what it fences, `status` prints it, and a test scans hosts against it.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from typing import Any

from ..filter.addresses import addresses
from ..filter.secret_readers import secret_readers
from ..module_utils._components import runs_tasks

ANY, ANY6 = "0.0.0.0", "::"
Groups = Mapping[str, list[str]]
Things = Mapping[str, Mapping[str, Any]]


@dataclass(frozen=True)
class Listener:
    """`clients` are the hosts that our firewall lets in; empty means that it lets in everybody."""

    port: int
    what: str
    variable: str
    addresses: tuple[str, ...]
    clients: tuple[str, ...] = ()


def is_on(value: Any) -> bool:
    """A boolean as Airflow reads it."""
    return str(value).strip().lower() in ("true", "t", "1")


def listeners(
    name: str, address: str, variables: Any, groups: Groups, components: Things, services: Things
) -> Iterator[Listener]:
    """What listens on the host `name`; `variables[...]` are its public variables, defaults among them."""
    executor = variables["airflow_executor"]

    def option(section: str, key: str, default: Any) -> Any:
        content = variables["airflow_config"].get(section)
        return content.get(key, default) if isinstance(content, dict) else default

    def listener(section: str, key: str, default: int, what: str, *rest: Any) -> Iterator[Listener]:
        value = option(section, key, default)
        if str(value).isdigit():  # else another rule says so
            yield Listener(int(value), what, f"airflow_config.{section}.{key}", *rest)

    for what, component in components.items():
        if name not in groups.get(component["group"], ()):
            continue
        # What starts tasks serves their logs.
        served = component["ports"] + (components["worker"]["ports"] if runs_tasks(what, executor) else [])
        for section, key, default in dict.fromkeys(map(tuple, served)):
            if section == "logging":
                # Airflow has no option for their address; whom they answer is for the firewall.
                readers = tuple(groups.get(components["api-server"]["group"], ()))
                yield from listener(section, key, default, what, (ANY, ANY6), readers)
            else:
                yield from listener(section, key, default, what, (option(section, key.replace("port", "host"), ANY),))
        if what == "scheduler" and is_on(option("scheduler", "enable_health_check", False)):
            place = option("scheduler", "scheduler_health_check_server_host", ANY)
            yield from listener("scheduler", "scheduler_health_check_server_port", 8974, "the health check", (place,))
    for what, service in services.items():
        if name in groups.get(service["group"], ()):
            away = set(_askers(service, executor, groups, components)) - {name}
            places = (*service["listens"], address) if away else tuple(service["listens"])
            yield Listener(variables[service["port"]], what, service["port"], places)


def _askers(service: Mapping[str, Any], executor: str, groups: Groups, components: Things) -> list[str]:
    """The hosts that connect to a service for its sake: those that hold its password, or the pooler before it."""
    pooler = groups.get(service.get("behind", ""), [])
    if pooler:
        return [*pooler, *secret_readers("jwt_secret", components, groups)]  # the operator's work goes past it
    held = [one for one in service["serves"] if one != "results_database" or executor == "CeleryExecutor"]
    return [host for secret in held for host in secret_readers(secret, components, groups)]


def table(
    groups: Groups, hostvars: Mapping[str, Mapping[str, Any]], contract: Any, hosts: list[str]
) -> dict[str, list[dict[str, Any]]]:
    """The listeners of each of the hosts, with what Ansible itself comes in by."""
    reached = addresses(hosts, hostvars)
    rows: dict[str, list[dict[str, Any]]] = {}
    for name in hosts:
        own = hostvars[name]
        variables = {**contract.defaults, **{key: own[key] for key in contract.options if key in own}}
        found = list(listeners(name, reached[name], variables, groups, contract.components, contract.services))
        if own.get("ansible_connection", "ssh") == "ssh":
            found.append(Listener(int(own.get("ansible_port", 22)), "ssh", "ansible_port", (ANY, ANY6)))
        rows[name] = [asdict(one) for one in sorted(found, key=lambda one: (one.port, one.what))]
    return rows
