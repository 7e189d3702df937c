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
positional: _input
options:
  _input:
    description: Results of M(windward.airflow.component_info) by host. A host that could not be read has none.
    type: dict
    required: true
  answers:
    description:
      - What the operator host was told. C(health) is the result of M(windward.airflow.health_info), C(metadata) that of
        M(windward.airflow.metadata_info).
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
    msg: "{{ (hosts | windward.airflow.status_table(answers)).lines }}"
"""

RETURN = r"""
_value:
  description:
    - A dictionary with C(lines), the table as text, and C(problems), a sentence for each thing that is wrong.
  type: dict
"""

from typing import Any

Row = tuple[str, str, str, str, str, str]
HEAD: Row = ("host", "component", "state", "since", "restarts", "heartbeat")


def component_rows(hosts: dict[str, Any], health: dict[str, Any], problems: list[str]) -> list[Row]:
    """Return a row per component of each host."""
    rows = []
    for host, looked in sorted(hosts.items()):
        if not looked or "components" not in looked:
            problems.append(f"{host}: it could not be read.")
            rows.append((host, "", "unreachable", "", "", ""))
            continue
        for name, component in looked["components"].items():
            told = health.get(name) or {}
            age = told.get("heartbeat_age")
            heartbeat = "" if age is None else f"{age:.0f} s ago"
            if component["state"] != "active":
                # Of a unit that is absent, or was not started yet, systemd knows no time.
                since = f" since {component['since']}" if component["since"] else ""
                problems.append(f"{host}: {name} is {component['state']}{since}.")
            rows.append((host, name, component["state"], component["since"], str(component["restarts"]), heartbeat))
    return rows


def aligned(rows: list[Row]) -> list[str]:
    """Return rows as lines with columns of one width."""
    widths = [max(len(row[column]) for row in rows) for column in range(len(HEAD))]
    return ["  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows]


def facts(hosts: dict[str, Any], answers: dict[str, Any], min_free_mb: int, problems: list[str]) -> list[str]:
    """Return the lines below the table."""
    lines = []
    for host, looked in sorted(hosts.items()):
        if not looked or "components" not in looked:
            continue
        lines.append(f"{host}: release {looked['release'] or 'none'}, DAG release {looked['dags_release'] or 'none'}")
        if not looked["release"] and looked["components"]:
            problems.append(f"{host}: there is no release.")
        for path, free in sorted(looked["free_mb"].items()):
            lines.append(f"{host}: {path} has {free} MB free")
            if free < min_free_mb:
                problems.append(f"{host}: {path} has only {free} MB free.")
        if looked["secrets_age_days"] is not None:
            lines.append(f"{host}: secrets are {looked['secrets_age_days']} days old")
    metadata = answers.get("metadata") or {}
    if not metadata.get("available"):
        problems.append(f"The metadata database could not be read: {metadata.get('reason', 'nobody could be asked')}")
        return lines
    lines += [f"migration head {table}: {', '.join(found)}" for table, found in sorted(metadata["heads"].items())]
    if metadata["heads"] != metadata["wanted_heads"]:
        problems.append(f"The metadata database is at {metadata['heads']}, not at {metadata['wanted_heads']}.")
    lines.append(f"import errors: {len(metadata['import_errors'])}")
    problems += [f"Import error in {error['filename']}: {error['message']}" for error in metadata["import_errors"]]
    return lines


def status_table(hosts: dict[str, Any], answers: dict[str, Any], min_free_mb: int = 1024) -> dict[str, list[str]]:
    """Return the table and the problems."""
    problems: list[str] = []
    health = (answers.get("health") or {}).get("components", {})
    lines = aligned([HEAD, *component_rows(hosts, health, problems)])
    for name, told in health.items():
        if told.get("status") not in ("healthy", None):
            problems.append(f"{name} is {told['status']}: {told['reason']}")
    lines += ["", *facts(hosts, answers, min_free_mb, problems)]
    return {"lines": lines, "problems": problems}


class FilterModule:
    """Filters of playbooks/status.yml."""

    def filters(self) -> dict[str, Any]:
        return {"status_table": status_table}
