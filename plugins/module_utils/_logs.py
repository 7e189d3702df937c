# Copyright: (c) 2026, Windward contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Private to the collection. Task logs as plain text."""

from __future__ import annotations

from typing import Any

from ._client import Client, segment


def read_log(client: Client, task: dict[str, Any]) -> str:
    """The whole log of a task instance's latest try."""
    path = "/api/v2/dags/{dag_id}/dagRuns/{dag_run_id}/taskInstances/{task_id}/logs/{try_number}".format(
        **{key: segment(str(task[key])) for key in ("dag_id", "dag_run_id", "task_id", "try_number")}
    )
    lines: list[str] = []
    query: dict[str, Any] = {"map_index": task["map_index"]}
    while True:
        page = client.get(path, query)
        came = [line for message in page["content"] for line in render(message)]
        lines += came
        token = page.get("continuation_token")
        # While a log may still grow there is a token for ever, which then brings nothing new.
        if not token or token == query.get("token") or not came:
            return "\n".join(lines)
        query["token"] = token


def render(message: dict[str, Any] | str) -> list[str]:
    """One message of a structured log as the lines that a person reads; exceptions with their traceback."""
    if isinstance(message, str):
        return message.splitlines()
    if message["event"].startswith(("::group::", "::endgroup::")):
        return []
    head = [str(message[key]) for key in ("timestamp", "level") if message.get(key)]
    lines = " ".join([*head, message["event"]]).splitlines()
    # The cause comes last in the answer and first in a traceback.
    for error in reversed(message.get("error_detail") or []):
        lines += [f'  File "{f["filename"]}", line {f["lineno"]}, in {f["name"]}' for f in error.get("frames") or []]
        lines += f"{error.get('exc_type')}: {error.get('exc_value')}".splitlines()
    return lines


def tail(text: str, count: int) -> str:
    return "\n".join(text.splitlines()[-count:]) if count else ""
