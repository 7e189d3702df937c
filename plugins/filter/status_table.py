# Copyright: (c) 2026, Windward contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)

from __future__ import annotations

DOCUMENTATION = r"""
name: status_table
short_description: One table of what a deployment runs, and what is wrong with it
version_added: 0.1.0
author: Windward contributors (@windward)
description:
  - Joins what was read from the hosts with what Airflow says of itself.
positional: _input, answers, addresses, components
options:
  _input:
    description: Results of M(windward.airflow.component_info) by host. A host that could not be read has none.
    type: dict
    required: true
  answers:
    description:
      - What the operator host was told. C(health) is the result of M(windward.airflow.health_info), C(metadata) that of
        M(windward.airflow.metadata_info), C(workers) that of M(windward.airflow.worker_info), if there are workers,
        C(proxy) that of M(windward.airflow.health_info) through the proxy, if there is one.
    type: dict
    required: true
  addresses:
    description: Address by host, under which Airflow knows its jobs and Celery its workers.
    type: dict
    required: true
  components:
    description: The component data of role C(airflow).
    type: dict
    required: true
  min_free_mb:
    description: Free space below which a directory is a problem, in MB.
    type: int
    default: 1024
"""

EXAMPLES = r"""
- name: Show
  ansible.builtin.debug:
    msg: "{{ (hosts | windward.airflow.status_table(answers, addresses, components)).lines }}"
"""

RETURN = r"""
_value:
  description:
    - A dictionary with C(lines), the table as text, C(problems), a sentence for each thing that is wrong, and
      C(verdict), which is V(healthy) without a problem, V(degraded) when other hosts do the work of what is gone, else
      V(not healthy).
  type: dict
"""

from dataclasses import dataclass, field
from typing import Any

Row = tuple[str, str, str, str, str, str]
HEAD: Row = ("host", "component", "state", "since", "restarts", "heartbeat")
SILENT = 60  # seconds after which a job that systemd runs is thought to hang


@dataclass
class Status:
    """What is said. A problem with a component counts as one of all only if no host has a good one."""

    components: dict[str, Any]
    addresses: dict[str, str]
    rows: list[Row] = field(default_factory=list)
    lines: list[str] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)
    ill: dict[str, int] = field(default_factory=dict)  # problems by component
    well: set[str] = field(default_factory=set)  # components that work on some host

    def component(self, host: str, name: str, found: dict[str, Any], age: float | None, known: bool) -> None:
        """Judge a component of a host; ``known`` says that Airflow could be asked for its heartbeat."""
        heartbeat = "" if age is None else f"{age:.0f} s ago"
        self.rows.append((host, name, found["state"], found["since"], str(found["restarts"]), heartbeat))
        if found["state"] != "active":
            # Of a unit that is absent, or was not started yet, systemd knows no time.
            since = f" since {found['since']}" if found["since"] else ""
            self.problem(name, f"{host}: {name} is {found['state']}{since}.")
        elif known and (age is None or age > SILENT):
            last = "never gave a sign of life" if age is None else f"gave its last sign of life {age:.0f} s ago"
            self.problem(name, f"{host}: {name} runs, but {last}.")
        else:
            self.well.add(name)

    def problem(self, component: str, sentence: str) -> None:
        self.problems.append(sentence)
        self.ill[component] = self.ill.get(component, 0) + 1

    def verdict(self) -> str:
        borne = sum(count for name, count in self.ill.items() if name in self.well)
        return "healthy" if not self.problems else "degraded" if borne == len(self.problems) else "not healthy"


def look_at_hosts(status: Status, hosts: dict[str, Any], metadata: dict[str, Any]) -> None:
    """Add a row per component of each host."""
    ages = {(job["type"], job["hostname"]): job["age"] for job in metadata.get("jobs", [])}
    for host, looked in sorted(hosts.items()):
        if not looked or "components" not in looked:
            status.problems.append(f"{host}: it could not be read.")
            status.rows.append((host, "", "unreachable", "", "", ""))
            continue
        for name, found in looked["components"].items():
            job = status.components.get(name, {}).get("job", "")
            age = ages.get((job, status.addresses.get(host, host)))
            status.component(host, name, found, age, bool(job and "jobs" in metadata))


def aligned(rows: list[Row]) -> list[str]:
    """Return rows as lines with columns of one width."""
    widths = [max(len(row[column]) for row in rows) for column in range(len(HEAD))]
    return ["  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows]


def look_at_disks(status: Status, hosts: dict[str, Any], min_free_mb: int) -> None:
    """Add the lines below the table that tell of each host."""
    for host, looked in sorted(hosts.items()):
        if not looked or "components" not in looked:
            continue
        dags = looked["dags_release"] or "none"
        status.lines.append(f"{host}: release {looked['release'] or 'none'}, DAG release {dags}")
        if not looked["release"] and looked["components"]:
            status.problems.append(f"{host}: there is no release.")
        for path, free in sorted(looked["free_mb"].items()):
            status.lines.append(f"{host}: {path} has {free} MB free")
            if free < min_free_mb:
                status.problems.append(f"{host}: {path} has only {free} MB free.")
        if looked["secrets_age_days"] is not None:
            status.lines.append(f"{host}: secrets are {looked['secrets_age_days']} days old")


def look_at_metadata(status: Status, metadata: dict[str, Any]) -> None:
    """Add what the database knows: its schema, import errors, pools."""
    if not metadata.get("available"):
        status.problems.append(
            f"The metadata database could not be read: {metadata.get('reason', 'nobody could be asked')}")
        return
    heads, errors = sorted(metadata["heads"].items()), metadata["import_errors"]
    status.lines += [f"migration head {table}: {', '.join(found)}" for table, found in heads]
    if metadata["heads"] != metadata["wanted_heads"]:
        status.problems.append(f"The metadata database is at {metadata['heads']}, not at {metadata['wanted_heads']}.")
    status.lines += [
        f"pool {pool['name']}: {pool['used']} of {'any number of' if pool['slots'] < 0 else pool['slots']} slots in use"
        for pool in metadata.get("pools", [])
    ]
    status.lines.append(f"import errors: {len(errors)}")
    status.problems += [f"Import error in {error['filename']}: {error['message']}" for error in errors]


def look_at_workers(status: Status, hosts: dict[str, Any], told: dict[str, Any]) -> None:
    """Add what Celery says: who consumes which queue, how much waits in each."""
    if not told.get("available"):
        status.problems.append(f"The broker could not be asked: {told.get('reason', 'by no worker')}")
        return
    for host in sorted(host for host, looked in hosts.items() if "worker" in (looked or {}).get("components", {})):
        worker = told["workers"].get(f"celery@{status.addresses.get(host, host)}")
        if worker is None:
            status.problem("worker", f"{host}: the worker does not answer Celery.")
            continue
        if not worker["queues"]:
            status.problem("worker", f"{host}: the worker is drained; the next run of site.yml lets it work again.")
        status.lines.append(
            f"{host}: consumes {', '.join(worker['queues']) or 'nothing'}; {worker['active']} of "
            f"{worker['concurrency']} tasks run, {worker['reserved']} more are reserved"
        )
    consumed = {queue for worker in told["workers"].values() for queue in worker["queues"]}
    for queue, length in sorted(told["queues"].items()):
        status.lines.append(f"queue {queue}: {length} messages wait")
        if queue not in consumed:
            status.problems.append(f"Nobody consumes queue {queue}: its tasks wait for ever.")


def status_table(
    hosts: dict[str, Any],
    answers: dict[str, Any],
    addresses: dict[str, str],
    components: dict[str, Any],
    min_free_mb: int = 1024,
) -> dict[str, Any]:
    """Return the table, the problems and the verdict."""
    status = Status(components, addresses)
    metadata = answers.get("metadata") or {}
    look_at_hosts(status, hosts, metadata)
    for name, told in (answers.get("health") or {}).get("components", {}).items():
        if told.get("status") not in ("healthy", None):
            status.problems.append(f"{name} is {told['status']}: {told['reason']}")
    unproxied = (answers.get("proxy") or {}).get("components", {}).get("api-server", {}).get("reason")
    if unproxied:
        status.problems.append(f"The proxy does not lead to a healthy api-server: {unproxied}")
    look_at_disks(status, hosts, min_free_mb)
    look_at_metadata(status, metadata)
    if "workers" in answers:
        look_at_workers(status, hosts, answers["workers"] or {})
    return {
        "lines": [*aligned([HEAD, *status.rows]), "", *status.lines],
        "problems": status.problems,
        "verdict": status.verdict(),
    }


class FilterModule:
    """Filters of playbooks/status.yml."""

    def filters(self) -> dict[str, Any]:
        return {"status_table": status_table}
