# Copyright: (c) 2026, Windward contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Private to the collection. Find, plan, apply, diff: what modules that change something in Airflow share."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from ansible.module_utils.basic import AnsibleModule

from ._client import AirflowApiError, Client, segment

Object = Mapping[str, Any]


@dataclass(frozen=True)
class Plan:
    """What is to be done to one object: `action` is create, update, delete or none."""

    action: str
    before: dict[str, Any]
    after: dict[str, Any]
    fields: tuple[str, ...] = ()


def same_value(_field: str, current: Any, wanted: Any) -> bool:
    return bool(current == wanted or (current is None and wanted == ""))  # Airflow turns some empty texts into null


def plan(
    current: Object | None,
    wanted: Object,
    state: str = "present",
    defaults: Object | None = None,
    same: Callable[[str, Any, Any], bool] = same_value,
) -> Plan:
    """Compare what is with what is wanted. A wanted value of None leaves the field as it is."""
    wanted = {name: value for name, value in wanted.items() if value is not None}
    if state == "absent":
        return Plan("delete" if current else "none", dict(current or {}), {})
    if current is None:
        return Plan("create", {}, {**(defaults or {}), **wanted}, tuple(wanted))
    differ = {name: value for name, value in wanted.items() if not same(name, current.get(name), value)}
    return Plan("update" if differ else "none", dict(current), {**current, **differ}, tuple(differ))


@dataclass(frozen=True)
class Change:
    """One request that changes something; `name` heads its diff."""

    name: str
    method: str
    path: str
    before: Object
    after: Object
    body: Object | None = None
    query: Object | None = None
    look: str | None = None  # where to see whether a POST whose answer was lost was done


def apply(module: AnsibleModule, client: Client, changes: list[Change]) -> tuple[dict[str, Any], list[Any]]:
    """Send the changes; give the task's result and the answers. Check mode lives here: nothing is sent, no answer."""
    answers = []
    for change in [] if module.check_mode else changes:
        try:
            answers.append(client.request(change.method, change.path, query=change.query, body=change.body))
        except AirflowApiError as exc:
            made = _seen(client, change.look) if exc.uncertain else None
            if made is None:
                exc.result.setdefault("changed", bool(answers))
                raise
            answers.append(made)
    diffs = [
        {"before_header": c.name, "after_header": c.name, "before": dict(c.before), "after": dict(c.after)}
        for c in changes
    ]
    return {"changed": bool(changes), "diff": diffs}, answers


def _seen(client: Client, path: str | None) -> Any:
    try:
        return client.find(path) if path else None
    except AirflowApiError:
        return None


@dataclass(frozen=True)
class Resource:
    """A kind of object that the API keeps under a name, declared by the module that manages it."""

    kind: str
    path: str
    key: str
    fields: tuple[str, ...]
    required: tuple[str, ...] = ()  # what creating one needs
    defaults: Object = field(default_factory=dict)  # what Airflow fills in when creating one
    patch_key: str | None = None  # the key's name in the body of a PATCH, where that is another one
    refuse: Callable[[str, Plan], str | None] = lambda name, the_plan: None  # Airflow's rules, so that a check knows

    def manage(self, module: AnsibleModule, client: Client) -> dict[str, Any]:
        name = module.params[self.key]
        found = client.find(f"{self.path}/{segment(name)}")
        current = None if found is None else {key: found.get(key) for key in self.fields}
        return self.settle(module, client, name, current, {key: module.params[key] for key in self.fields})

    def settle(
        self, module: AnsibleModule, client: Client, name: str, current: Object | None, wanted: Object
    ) -> dict[str, Any]:
        """The way from what is to what is wanted, however the two were read."""
        the_plan = plan(current, wanted, module.params["state"], self.defaults)
        missing = [key for key in self.required if the_plan.action == "create" and wanted.get(key) is None]
        reason = f"creating it needs {', '.join(missing)}" if missing else self.refuse(name, the_plan)
        if reason:
            raise AirflowApiError(f"{self.kind} {name}: {reason}")
        result, _answers = apply(module, client, self.changes(name, the_plan))
        return {**result, self.kind: {self.key: name, **the_plan.after} if the_plan.after else None}

    def changes(self, name: str, the_plan: Plan) -> list[Change]:
        path, header = f"{self.path}/{segment(name)}", f"{self.kind} {name}"
        before, after = the_plan.before, the_plan.after
        # An Airflow without teams refuses a body that speaks of one.
        told = {field: value for field, value in after.items() if field != "team_name"}
        if "team_name" in the_plan.fields:
            told["team_name"] = after["team_name"] or None
        if the_plan.action == "create":
            return [Change(header, "POST", self.path, before, after, {self.key: name, **told}, look=path)]
        if the_plan.action == "update":
            # Airflow wants the whole object in the body, and changes only what the mask names.
            body = {self.patch_key or self.key: name, **told}
            return [Change(header, "PATCH", path, before, after, body, {"update_mask": list(the_plan.fields)})]
        if the_plan.action == "delete":
            return [Change(header, "DELETE", path, before, after)]
        return []
