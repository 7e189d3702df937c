# Copyright: (c) 2026, Windward contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Private to the collection. What the modules rely on in Airflow's answers: a status 200 alone doesn't say that it is
Airflow who answers, or one of a version that has what is needed."""

from __future__ import annotations

import re
from typing import Any

NULL = type(None)
TEXT = (str, NULL)

# A shape is a type, a list with the shape of its elements, a dictionary with those of its keys ("?": may be missing),
# or a tuple of shapes of which one must fit. What no module looks into is not told here.
CONNECTION = {
    "connection_id": str, "conn_type": str, "description?": TEXT, "host?": TEXT, "login?": TEXT, "password?": TEXT,
    "schema?": TEXT, "port?": (int, NULL), "extra?": TEXT, "team_name?": TEXT,
}  # fmt: skip
VARIABLE = {"key": str, "value?": TEXT, "description?": TEXT}
POOL = {"name": str, "slots": int, "description?": TEXT, "include_deferred?": bool}
EVENT = {"event_log_id": int, "when": str, "event": str, "owner": TEXT, "extra": TEXT}
USER = {
    "username": str, "email?": TEXT, "first_name?": TEXT, "last_name?": TEXT, "roles?": ([{"name": str}], NULL),
    "active?": (bool, NULL),
}  # fmt: skip
PERMISSION = {"action": {"name": str}, "resource": {"name": str}}
ROLE = {"name": str, "actions?": ([PERMISSION], NULL)}
DAG = {
    "dag_id": str, "is_paused": bool, "is_stale": bool, "bundle_name": TEXT, "bundle_version": TEXT,
    "has_import_errors": bool, "file_token": str,
}  # fmt: skip
RUN = {
    "dag_id": str, "dag_run_id": str, "state": str, "bundle_version": TEXT, "conf": (dict, NULL),
    "logical_date": TEXT, "queued_at": TEXT, "start_date": TEXT, "end_date": TEXT, "duration": (float, NULL),
}  # fmt: skip
TASK = {
    "dag_id": str, "dag_run_id": str, "task_id": str, "map_index": int, "state": TEXT, "try_number": int,
    "start_date": TEXT, "end_date": TEXT, "duration": (float, NULL),
}  # fmt: skip
IMPORT_ERROR = {"filename": str, "timestamp": str, "bundle_name": TEXT, "stack_trace": str}
DONE = ({"success?": [str], "errors?": [{"name?": TEXT}]}, NULL)
BULK = {"create?": DONE, "update?": DONE, "delete?": DONE}
FRAME = {"filename": object, "lineno": object, "name": object}
LOG_LINE = (str, {"event": str, "error_detail?": ([{"frames?": ([FRAME], NULL)}], NULL)})

EXACT: list[tuple[str, str, Any]] = [
    ("GET", "/api/v2/version", {"version": str}),
    ("POST", "/api/v2/connections/test", {"status": bool, "message": str}),
    ("POST", "/api/v2/dags/[^/]+/dagRuns/[^/]+/clear", RUN),
    ("GET", "/api/v2/dags/.*/logs/[^/]+", {"content": [LOG_LINE], "continuation_token?": TEXT}),
    ("PATCH", "/api/v2/(connections|variables|pools)", BULK),
    ("DELETE", "/.*", NULL),
]
LISTINGS = {
    "/api/v2/connections": CONNECTION,
    "/api/v2/variables": VARIABLE,
    "/api/v2/pools": POOL,
    "/api/v2/eventLogs": EVENT,
    "/api/v2/dags": DAG,
    "/api/v2/dags/[^/]+/dagRuns": RUN,
    "/api/v2/dags/[^/]+/dagRuns/[^/]+/taskInstances": TASK,
    "/api/v2/importErrors": IMPORT_ERROR,
    "/api/v2/jobs": {},
    "/auth/fab/v1/users": USER,
    "/auth/fab/v1/roles": ROLE,
    "/auth/fab/v1/permissions": PERMISSION,
}
NAMES = {"eventLogs": "event_logs", "dagRuns": "dag_runs", "taskInstances": "task_instances",
         "importErrors": "import_errors", "permissions": "actions"}  # fmt: skip
WORDS = {dict: "an object", list: "a list", str: "a text", bool: "true or false", NULL: "null", int: "a number",
         float: "a number"}  # fmt: skip


def expected(method: str, path: str) -> Any:
    """The shape of the answer to a request."""
    for its, pattern, shape in EXACT:
        if method == its and re.fullmatch(pattern, path):
            return shape
    for pattern, row in LISTINGS.items():
        found = re.fullmatch(f"{pattern}(/[^/]+)?", path)
        if found and method == "GET" and not found.group(1):
            word = path.rpartition("/")[2]
            return {NAMES.get(word, word): [row], "total_entries": int}
        if found:
            return row
    return object


def misfit(value: Any, shape: Any, place: str = "it") -> str | None:
    """Where a value hasn't the shape, in words that don't tell what is there: it may be a secret."""
    if _plainly(value, shape):
        return None
    if isinstance(shape, tuple):
        reasons = [misfit(value, one, place) for one in shape]
        return None if None in reasons else reasons[0]
    kind, found = type(shape) if isinstance(shape, (dict, list)) else shape, type(value)
    if found is not kind:
        return f"{place} is {WORDS.get(found, 'a number')} instead of {WORDS[kind]}"
    reason = None
    if isinstance(shape, dict):
        for key, inner in shape.items():
            name = key.rstrip("?")
            if name not in value:
                reason = None if name != key else f"{place} has no {name}"
            elif not _plainly(value[name], inner):
                reason = misfit(value[name], inner, f"{place}.{name}")
            if reason:
                break
    elif isinstance(shape, list):
        checked = (misfit(one, shape[0], f"{place}[{number}]") for number, one in enumerate(value))
        reason = next((one for one in checked if one), None)
    return reason


def _plainly(value: Any, shape: Any) -> bool:
    """What nearly all values of thousands of rows are found right by, without a look inside."""
    kind = type(value)
    return (
        kind is shape
        or shape is object
        or (isinstance(shape, tuple) and kind in shape)
        or (kind is int and shape is float)
    )
