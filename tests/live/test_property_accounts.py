# Copyright: (c) 2026, Windward contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Random sequences of users and roles: what check mode foretells is what then happens, and what Airflow has then."""

from __future__ import annotations

import os
import uuid
from collections import Counter
from dataclasses import dataclass
from typing import Any

import pytest
from ansible_collections.windward.airflow.plugins.module_utils._client import Client, segment
from conftest import Run
from hypothesis import strategies as st
from sequences import hold
from wire import writes

pytestmark = pytest.mark.skipif(
    "LIVE_SEQUENCES" not in os.environ, reason="FAB takes a third of a second for each request; make test-long runs it"
)
Fields = dict[str, Any]
PATHS = {"user": "/auth/fab/v1/users", "role": "/auth/fab/v1/roles"}
KEYS = {"user": "username", "role": "name"}
SITE = ("Website", "can_read")  # given to every role, unasked
OBJECTS = [("user", "u.one"), ("user", "ü two"), ("role", "r1"), ("role", "r 2 ä")]


@dataclass
class Step:
    kind: str
    name: str
    declared: Fields
    edit: Fields | None = None  # behind our back, before it
    gone: bool = False  # or deleted


PAIRS = st.sets(st.sampled_from([("DAGs", "can_read"), ("DAGs", "can_edit"), ("Pools", "can_read"), SITE]))
USER = {
    "email": st.sampled_from(["a", "b"]),
    "first_name": st.sampled_from(["A", "Ä 'ö\""]),
    "last_name": st.sampled_from(["B", "{{ c }}"]),
    "roles": st.sets(st.sampled_from(["Viewer", "User", "r1", "r 2 ä"]), min_size=1),
}
PASSWORD = {"password": st.integers(0, 1), "update_password": st.sampled_from(["always", "always", "on_create"])}
ABSENT = st.just({"state": "absent"})
FLY = ("DAGs", "can_fly")  # which FAB doesn't know
ROLE = st.one_of(
    st.fixed_dictionaries({}, optional={"permissions": PAIRS}),
    st.fixed_dictionaries({}, optional={"permissions": PAIRS}),
    st.just({"permissions": {SITE, FLY}}),
    ABSENT,
)
STATES = {
    "user": [
        st.fixed_dictionaries({**USER, "password": PASSWORD["password"]}),
        st.fixed_dictionaries({}, optional=USER),
        st.fixed_dictionaries({}, optional={**USER, **PASSWORD}),
        ABSENT,
    ],
    "role": [ROLE, ROLE],
}


@st.composite
def accounts(draw: st.DrawFn) -> list[Step]:
    """Up to four states of up to three objects; what isn't there yet is mostly declared whole."""
    objects = draw(st.lists(st.sampled_from(OBJECTS), min_size=1, max_size=3, unique=True))
    made: set[tuple[str, str]] = set()
    steps = []
    for _number in range(draw(st.integers(1, 4))):
        kind, name = draw(st.sampled_from(objects))
        new = (kind, name) not in made
        declared = draw(STATES[kind][0] if new and draw(st.integers(0, 9)) else st.one_of(STATES[kind]))
        step = Step(kind, name, declared)
        if not new and draw(st.integers(0, 2)) == 0:
            if kind == "user":
                step.edit = draw(st.sampled_from([{"first_name": "Z"}, {"password": 1}, {"roles": {"Op"}}]))
            else:
                step.edit = {"permissions": draw(PAIRS)}
            step.gone = draw(st.integers(0, 3)) == 0
        (made.discard if declared.get("state") == "absent" else made.add)((kind, name))
        steps.append(step)
    return steps


class Accounts:
    """One sequence, with names and passwords of its own, and what Airflow holds by the model."""

    def __init__(self, client: Client, run: Run, counts: Counter[str]) -> None:
        self.client, self.run, self.counts = client, run, counts
        self.salt = uuid.uuid4().hex[:10]
        self.things: dict[tuple[str, str], Fields] = {}

    def name(self, name: str) -> str:
        return f"prop_{self.salt} {name}"

    def real(self, fields: Fields) -> Fields:
        """What was drawn, with this sequence's names; a role that isn't there becomes one that always is."""
        fields = dict(fields)
        if "password" in fields:
            fields["password"] = f"{self.salt}-{fields['password']}"
        if "email" in fields:
            fields["email"] = f"{fields['email']}.{{}}@example.org"
        if "roles" in fields:
            names = {name: self.name(name) for kind, name in self.things if kind == "role"}
            names |= {name: name for name in ("Viewer", "User", "Op")}
            fields["roles"] = sorted({names.get(role, "Viewer") for role in fields["roles"]})
        if "permissions" in fields:
            fields["permissions"] = sorted(fields["permissions"])
        return fields

    def path(self, kind: str, name: str) -> str:
        return f"{PATHS[kind]}/{segment(self.name(name))}"

    def delete(self, kind: str, name: str) -> None:
        """As the model has it: a role that is deleted is taken from its users."""
        del self.things[kind, name]
        for (other, _name), thing in self.things.items():
            if (kind, other) == ("role", "user"):
                thing["roles"] = [role for role in thing["roles"] if role != self.name(name)]

    def edit(self, step: Step) -> None:
        thing = self.things.get((step.kind, step.name))
        if not thing or step.edit is None:
            return
        self.counts["edits"] += 1
        path = self.path(step.kind, step.name)
        if step.gone:
            self.client.request("DELETE", path)
            self.delete(step.kind, step.name)
            return
        fields = self.real(step.edit)
        thing.update(fields)
        if "permissions" in fields:  # FAB gives it to every role anew
            thing["permissions"] = sorted({*fields["permissions"], SITE})
        body = dict(fields)
        if "roles" in fields:
            body["roles"] = [{"name": role} for role in fields["roles"]]
        if "permissions" in fields:
            pairs = body.pop("permissions")
            body["name"] = self.name(step.name)
            body["actions"] = [{"action": {"name": action}, "resource": {"name": on}} for on, action in pairs]
        self.client.request("PATCH", path, body=body)

    def verdict(self, step: Step, declared: Fields) -> tuple[str, Fields]:
        """What is to become of it: the action, or `refused`, and how it is then."""
        thing = self.things.get((step.kind, step.name))
        if declared.get("state") == "absent":
            return ("delete" if thing else "none"), {}
        wanted = {key: value for key, value in declared.items() if key not in ("update_password", "state")}
        if "permissions" in wanted or (step.kind == "role" and not thing):
            wanted["permissions"] = sorted({*wanted.get("permissions", ()), SITE})
        if FLY in wanted.get("permissions", ()):
            return "refused", wanted
        if not thing:
            whole = step.kind == "role" or wanted.keys() >= {*USER, "password"}
            return ("create" if whole else "refused"), wanted
        if declared.get("update_password") == "on_create":
            wanted.pop("password", None)
        after = {**thing, **wanted}
        return ("none" if after == thing else "update"), after

    def apply(self, step: Step) -> None:
        self.edit(step)
        declared = self.real(step.declared)
        if "email" in declared:
            declared["email"] = declared["email"].format(f"{self.salt}.{OBJECTS.index((step.kind, step.name))}")
        action, after = self.verdict(step, declared)
        options = {KEYS[step.kind]: self.name(step.name), **declared}
        if "permissions" in declared:
            options["permissions"] = [{"resource": r, "actions": [a]} for r, a in declared["permissions"]]
        with writes() as sent:
            foretold = self.run(step.kind, True, api_token=self.client._token, **options)
        assert sent == [], "check mode wrote"
        with writes() as sent:
            done = self.run(step.kind, api_token=self.client._token, **options)
        assert done == foretold
        self.counts[action] += 1
        if action == "refused":
            reason = "FAB has no action can_fly" if step.kind == "role" else "creating it needs"
            assert done["failed"] and reason in done["msg"], done
            assert not sent or step.kind == "role", "FAB refuses by itself, before it writes"
            return
        assert not done.get("failed"), done
        assert done["changed"] == bool(sent) == (action != "none"), (action, done, sent)
        if action == "delete":
            self.delete(step.kind, step.name)
        elif action != "none":
            self.things[step.kind, step.name] = after
        self.look(step.kind, step.name)
        with writes() as sent:
            again = self.run(step.kind, api_token=self.client._token, **options)
        assert not again["changed"] and again["diff"] == [] and sent == [], (again, sent)

    def look(self, kind: str, name: str) -> None:
        """What Airflow has is what the model has."""
        found, thing = self.client.find(self.path(kind, name)), self.things.get((kind, name))
        assert bool(found) == bool(thing), (kind, name)
        if thing and kind == "role":
            pairs = {(one["resource"]["name"], one["action"]["name"]) for one in found["actions"]}
            assert pairs == set(thing["permissions"])
        elif thing:
            shown = {**found, "roles": sorted(role["name"] for role in found["roles"])}
            assert {key: shown[key] for key in USER} == {key: thing[key] for key in USER}

    def end(self) -> None:
        """Those that the steps left alone are as they were."""
        for one in self.things:
            self.look(*one)
        for one in self.things:
            self.client.request("DELETE", self.path(*one))

    def sweep(self) -> None:
        for kind, name in OBJECTS:
            self.client.request("DELETE", self.path(kind, name))


def test_users_and_roles_become_as_declared(client: Client, run: Run, capsys: pytest.CaptureFixture[str]) -> None:
    client.get("/api/v2/version")  # logs in

    def body(steps: list[Step], counts: Counter[str]) -> None:
        sequence = Accounts(client, run, counts)
        try:
            for step in steps:
                counts["steps"] += 1
                sequence.apply(step)
            sequence.end()
        except BaseException:
            sequence.sweep()
            raise

    # FAB makes an application of its own for each request, which takes it a third of a second.
    counts = hold(accounts(), body, capsys, 5)
    assert {"create", "update", "delete", "none"} <= counts.keys() or counts["steps"] < 40
