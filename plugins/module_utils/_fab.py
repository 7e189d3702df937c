# Copyright: (c) 2026, Windward contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Private to the collection. Users and roles, which are the FAB auth manager's and not Airflow's own."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from ansible.module_utils.basic import AnsibleModule

from ._client import AirflowApiError, Client, segment
from ._info import Listing
from ._resource import Change, Object, Plan, Resource

USERS, ROLES, PERMISSIONS = "/auth/fab/v1/users", "/auth/fab/v1/roles", "/auth/fab/v1/permissions"
USER_FIELDS = ("email", "first_name", "last_name")
# FAB answers a longer text with 500, and knows no longer permission.
LONGEST = {
    "username": 512, "email": 512, "first_name": 256, "last_name": 256, "name": 64, "resource": 250, "actions": 100,
}  # fmt: skip


@contextmanager
def fab(client: Client) -> Iterator[None]:
    """Another auth manager has no such path, or a page of its own there. Say so, unless it is no Airflow at all."""
    try:
        yield
    except AirflowApiError as exc:
        if exc.status not in (200, 404, 405):
            raise
        client.get("/api/v2/version")
        raise AirflowApiError(
            "This Airflow uses another auth manager than FAB's, and only FAB's keeps users and roles", exc.status
        ) from exc


def unusable(option: str, text: str) -> str | None:
    """Why FAB can't keep a text, or can't be asked for the object of that name."""
    if not text:
        return f"{option} must not be empty"
    if len(text) > LONGEST.get(option, len(text)):
        return f"{option} must not be longer than {LONGEST[option]} characters"
    if option in ("name", "username") and ("/" in text or "\n" in text):
        return f"{option} must not have {'/' if '/' in text else 'a line break'} in it"
    return None


def find(client: Client, path: str, option: str, name: str) -> Any:
    """What FAB has under this name, None for nothing."""
    reason = unusable(option, name)
    if reason:
        raise AirflowApiError(reason)
    with fab(client):
        return client.find(f"{path}/{segment(name)}")


def user_row(found: Object) -> dict[str, Any]:
    """A user as the modules show it."""
    roles = sorted(role["name"] for role in found.get("roles") or ())
    return {**{name: found.get(name) for name in ("username", *USER_FIELDS)}, "roles": roles}


def role_row(found: Object) -> dict[str, Any]:
    """A role as the modules show it."""
    pairs = [(one["resource"]["name"], one["action"]["name"]) for one in found.get("actions") or ()]
    return {"name": found["name"], "permissions": grouped(pairs)}


def grouped(pairs: Iterable[tuple[str, str]]) -> list[dict[str, Any]]:
    """Permissions in one form, so that equal ones are equal: each resource once, all in order."""
    by_resource: dict[str, list[str]] = {}
    for resource, action in sorted(set(pairs)):
        by_resource.setdefault(resource, []).append(action)
    return [{"resource": resource, "actions": actions} for resource, actions in by_resource.items()]


def pairs_of(permissions: Iterable[Object]) -> list[tuple[str, str]]:
    return [(one["resource"], action) for one in permissions for action in one["actions"]]


@dataclass(frozen=True)
class FabResource(Resource):
    """FAB takes an object's changed fields alone and no mask; `encode` gives a body as FAB wants it."""

    encode: Callable[[Object], dict[str, Any]] = dict

    def changes(self, name: str, the_plan: Plan) -> list[Change]:
        if the_plan.action not in ("create", "update"):
            return super().changes(name, the_plan)
        creates = the_plan.action == "create"
        key = {self.key: name} if creates or self.patch_key else {}
        body = self.encode({**key, **{field: the_plan.after[field] for field in the_plan.fields}})
        place, header = f"{self.path}/{segment(name)}", f"{self.kind} {name}"
        if creates:
            return [Change(header, "POST", self.path, the_plan.before, the_plan.after, body, look=place)]
        return [Change(header, "PATCH", place, the_plan.before, the_plan.after, body)]


@dataclass(frozen=True)
class FabListing(Listing):
    def gather(self, module: AnsibleModule, client: Client) -> dict[str, Any]:
        name = module.params[self.key or ""]
        reason = unusable(self.key or "", name) if name is not None else None
        if reason:
            raise AirflowApiError(reason)
        with fab(client):
            return super().gather(module, client)
