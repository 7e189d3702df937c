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
positional: _input, answers, addresses, components, groups
options:
  _input:
    description:
      - Results of M(windward.airflow.component_info) by host. That of a host that could not be read has no
        C(components), that of a host that was not asked is empty.
    type: dict
    required: true
  answers:
    description:
      - What else was told. C(health) are results of M(windward.airflow.health_info) by host, each of its own
        api-server, C(metadata) is that of M(windward.airflow.metadata_info), C(workers) that of
        M(windward.airflow.worker_info), if there are workers, C(proxy) that of M(windward.airflow.health_info) through
        the proxy, if there is one.
    type: dict
    required: true
  addresses:
    description: Address by host, under which Airflow knows its jobs and Celery its workers.
    type: dict
    required: true
  components:
    description: The data of components and services of role C(airflow).
    type: dict
    required: true
  groups:
    description: Ansible's C(groups), which tell what a host that could not be read should run.
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
    msg: "{{ (hosts | windward.airflow.status_table(answers, addresses, components, groups)).lines }}"
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

from .unreached import sentences

Row = tuple[str, ...]
HEAD: Row = ("host", "component", "state", "since", "restarts", "heartbeat")
SILENT = 60  # seconds after which a job that systemd runs is thought to hang


@dataclass
class Status:
    """What is said. A problem with a component counts as one of all only if no host has a good one."""

    components: dict[str, Any]
    addresses: dict[str, str]
    groups: dict[str, list[str]] = field(default_factory=dict)
    rows: list[Row] = field(default_factory=list)
    lines: list[str] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)
    ill: list[set[str]] = field(default_factory=list)  # the components of each problem that other hosts may bear
    well: set[str] = field(default_factory=set)  # components that work on some host

    def component(
        self, host: str, name: str, found: dict[str, Any], age: float | None = None, known: bool = False,
        reason: str | None = None,
    ) -> None:
        """Judge a component of a host: ``known`` says that its heartbeat could be asked for, ``reason`` what its page
        lacks."""
        heartbeat = "" if age is None else f"{age:.0f}s"
        self.rows.append((host, name, found["state"], found["since"], str(found["restarts"]), heartbeat))
        cut_off = sentences(host, name, found)
        for sentence in cut_off:
            self.problem(sentence, name)
        if found["state"] != "active":
            # Of a unit that is absent, or was not started yet, systemd knows no time.
            since = f" since {found['since']}" if found["since"] else ""
            self.problem(f"{host}: {name} is {found['state']}{since}.", name)
        elif reason:
            self.problem(f"{host}: {name} runs, but is not healthy: {reason}", name)
        elif known and (age is None or age > SILENT):
            last = "never gave a sign of life" if age is None else f"gave its last sign of life {age:.0f} s ago"
            self.problem(f"{host}: {name} runs, but {last}.", name)
        elif not cut_off:
            self.well.add(name)

    def problem(self, sentence: str, *components: str) -> None:
        self.problems.append(sentence)
        self.ill.append(set(components))

    def wanted(self, host: str) -> list[str]:
        """What a host should run."""
        return [name for name, one in self.components.items() if host in self.groups.get(one["group"], [])]

    def verdict(self) -> str:
        borne = sum(bool(names) and names <= self.well for names in self.ill)
        return "healthy" if not self.problems else "degraded" if borne == len(self.problems) else "not healthy"


def look_at_hosts(status: Status, hosts: dict[str, Any], metadata: dict[str, Any], health: dict[str, Any]) -> None:
    """Add a row per component and service of each host."""
    ages = {(job["type"], job["hostname"]): job["age"] for job in metadata.get("jobs", [])}
    for host, looked in sorted(hosts.items()):
        if not looked or "components" not in looked:
            names = status.wanted(host)
            if looked:
                status.problem(f"{host}: it could not be read, so nobody knows of its {', '.join(names)}.", *names)
            state = "unreachable" if looked else "not asked"
            status.rows += [(host, name, state, "", "", "") for name in names or [""]]
            continue
        pages = health.get(host, {}).get("components", {})
        for name, found in looked["components"].items():
            job = status.components.get(name, {}).get("job", "")
            age = ages.get((job, status.addresses.get(host, host)))
            # Of its page, only what it says of itself: the rest is of all hosts.
            reason = pages.get(name, {}).get("reason") if name == "api-server" else None
            status.component(host, name, found, age, bool(job and "jobs" in metadata), reason)
        for name, found in looked.get("services", {}).items():
            status.component(host, name, found)


def look_at_health(status: Status, health: dict[str, Any]) -> None:
    """Add what Airflow says of all hosts: each api-server that answers would say the same."""
    answers = [told.get("components", {}) for _host, told in sorted(health.items())]
    answered = [one for one in answers if one.get("api-server", {}).get("status") == "healthy"]
    for name, told in (answered[0] if answered else {}).items():
        if told.get("status") not in ("healthy", None):
            status.problems.append(f"{name} is {told['status']}: {told['reason']}")


def look_at_pairs(status: Status) -> None:
    """Name what has one host only, by host: what it does nobody else can."""
    alone: dict[str, list[str]] = {}
    for name, one in status.components.items():
        members = status.groups.get(one["group"], [])
        if len(members) == 1:
            alone.setdefault(members[0], []).append(name)
    status.lines += [f"not doubled: {', '.join(names)} on {host}" for host, names in sorted(alone.items())]


def aligned(rows: list[Row]) -> list[str]:
    """Return rows as lines with columns of one width."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return ["  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows]


def look_at_disks(status: Status, hosts: dict[str, Any], min_free_mb: int) -> None:
    """Add the lines below the table that tell of each host."""
    for host, looked in sorted(hosts.items()):
        if not looked or "components" not in looked:
            continue
        if looked["components"]:
            dags = looked["dags_release"] or "none"
            status.lines.append(f"{host}: release {looked['release'] or 'none'}, DAG release {dags}")
        if not looked["release"] and looked["components"]:
            status.problem(f"{host}: there is no release.", *looked["components"])
        for path, free in sorted(looked["free_mb"].items()):
            status.lines.append(f"{host}: {path} has {free} MB free")
            if free < min_free_mb:
                status.problems.append(f"{host}: {path} has only {free} MB free.")
        if looked.get("memory_mb"):
            memory = looked["memory_mb"]
            status.lines.append(f"{host}: {memory['available']} of {memory['total']} MB of memory are available")
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
    status.lines += pooler_lines(metadata.get("pooler") or {})
    status.lines.append(f"import errors: {len(errors)}")
    status.problems += [f"Import error in {error['filename']}: {error['message']}" for error in errors]


def pooler_lines(told: dict[str, Any]) -> list[str]:
    """What PgBouncer says of its pools: a wait is the first sign that one is too small."""
    if told.get("reason"):
        return [f"PgBouncer could not be asked: {told['reason']}"]
    return [
        f"PgBouncer, database {pool['database']}: {pool['used']} of {pool['size']} connections to PostgreSQL in use, "
        f"{pool['clients']} clients work, {pool['waiting']} wait"
        + (f", the longest for {pool['longest_wait']} s" if pool["waiting"] else "")
        for pool in told.get("pools", [])
    ]


def look_at_workers(status: Status, hosts: dict[str, Any], told: dict[str, Any]) -> None:
    """Add what Celery says: who consumes which queue, how much waits in each."""
    if not told.get("available"):
        status.problems.append(f"The broker could not be asked: {told.get('reason', 'by no worker')}")
        return
    for host in sorted(host for host, looked in hosts.items() if "worker" in (looked or {}).get("components", {})):
        worker = told["workers"].get(f"celery@{status.addresses.get(host, host)}")
        if worker is None:
            status.problem(f"{host}: the worker does not answer Celery.", "worker")
            continue
        if not worker["queues"]:
            status.problem(f"{host}: the worker is drained; the next run of site.yml lets it work again.", "worker")
        status.lines.append(f"{host}: {consumption(worker)}")
    look_at_strangers(status, hosts, told["workers"])
    cut_off = {f"celery@{status.addresses.get(host, host)}" for host, looked in hosts.items()
               if (looked or {}).get("components", {}).get("worker", {}).get("unreached")}
    look_at_queues(status, told, cut_off)


def consumption(worker: dict[str, Any]) -> str:
    """What a worker consumes, and does."""
    return (
        f"consumes {', '.join(worker['queues']) or 'nothing'}; {worker['active']} of "
        f"{worker['concurrency']} tasks run, {worker['reserved']} more are reserved"
    )


def look_at_queues(status: Status, told: dict[str, Any], cut_off: set[str]) -> None:
    """Add how much waits in each queue, and whether somebody consumes it who is not cut off."""
    consumed = {queue for worker in told["workers"].values() for queue in worker["queues"]}
    served = {queue for name, worker in told["workers"].items() if name not in cut_off for queue in worker["queues"]}
    for queue, length in sorted(told["queues"].items()):
        status.lines.append(f"queue {queue}: {length} messages wait")
        if queue not in consumed:
            status.problems.append(f"Nobody consumes queue {queue}: its tasks wait for ever.")
        elif queue not in served:
            status.problems.append(f"Nobody who consumes queue {queue} reaches what its tasks need: they fail.")


def look_at_strangers(status: Status, hosts: dict[str, Any], workers: dict[str, Any]) -> None:
    """Name workers that go on although the inventory does not have them: they take tasks, and nobody updates them."""
    running = [host for host, looked in hosts.items() if "worker" in (looked or {}).get("components", {})]
    members = {*status.groups.get("airflow_worker", []), *running}
    known = {f"celery@{status.addresses.get(host, host)}" for host in members}
    names = {f"celery@{address}": host for host, address in status.addresses.items()}
    leave = "put its host into airflow_removed and run playbooks/scale.yml"
    for name in sorted(workers.keys() - known):
        consumes = "consumes " + (", ".join(workers[name]["queues"]) or "nothing")
        if name in names:
            problem = f"{names[name]}: a worker {consumes}, and the host is not in group airflow_worker"
            status.problems.append(f"{problem}: run site.yml, or, where no other component is, {leave}.")
        else:
            place = name.rpartition("@")[2]
            status.problems.append(f"The worker at {place} {consumes} and is not in the inventory: {leave}.")


def status_table(
    hosts: dict[str, Any],
    answers: dict[str, Any],
    addresses: dict[str, str],
    components: dict[str, Any],
    groups: dict[str, list[str]],
    min_free_mb: int = 1024,
) -> dict[str, Any]:
    """Return the table, the problems and the verdict."""
    status = Status(components, addresses, groups)
    metadata, health = answers.get("metadata") or {}, answers.get("health") or {}
    look_at_hosts(status, hosts, metadata, health)
    look_at_health(status, health)
    unproxied = (answers.get("proxy") or {}).get("components", {}).get("api-server", {}).get("reason")
    if unproxied:
        status.problems.append(f"The proxy does not lead to a healthy api-server: {unproxied}")
    look_at_disks(status, hosts, min_free_mb)
    look_at_metadata(status, metadata)
    if "workers" in answers:
        look_at_workers(status, hosts, answers["workers"] or {})
    look_at_pairs(status)
    return {
        "lines": [*aligned([HEAD, *status.rows]), "", *status.lines],
        "problems": status.problems,
        "verdict": status.verdict(),
    }


class FilterModule:
    """Filters of playbooks/status.yml."""

    def filters(self) -> dict[str, Any]:
        return {"status_table": status_table}
