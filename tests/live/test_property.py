# Copyright: (c) 2026, Windward contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Random sequences of desired states: what check mode foretells is what then happens, and what Airflow has then."""

from __future__ import annotations

import json
import uuid
from collections import Counter
from typing import Any

import pytest
from ansible_collections.windward.airflow.plugins.module_utils._client import Client, segment
from conftest import KEY, Run
from sequences import hold
from states import KEYS, Element, Step, Thing, Verdict, hidden, judge, parts, real, sequences, stands_for, uri
from wire import writes

FILTERS = {"connections": "connection_id", "variables": "variable_key", "pools": "pool_name"}
MODULES = {"connections": "connection", "variables": "variable", "pools": "pool"}
DONE = {"create": "created", "update": "updated", "delete": "deleted"}
Things = dict[tuple[str, str], Thing]


def veiled(shown: str, is_so: str) -> bool:
    """Whether Airflow may show a value so whose name sounds secret: masks stand for all of it, or for what is in it."""
    if shown in ("text ***", is_so):
        return True

    def fits(one: Any, other: Any) -> bool:
        if isinstance(one, dict) and isinstance(other, dict):
            return one.keys() == other.keys() and all(fits(one[key], other[key]) for key in one)
        if isinstance(one, list) and isinstance(other, list):
            return len(one) == len(other) and all(map(fits, one, other))
        return one in ("***", other)

    try:
        return fits(json.loads(shown), json.loads(is_so))
    except ValueError:
        return False


class Sequence:
    """One sequence: names and secrets of its own, and what Airflow holds by the model."""

    def __init__(self, client: Client, run: Run, counts: Counter[str]) -> None:
        self.client, self.run, self.counts = client, run, counts
        self.prefix = f"prop_{uuid.uuid4().hex[:10]}_"
        self.salt = uuid.uuid4().hex
        self.things: Things = {}
        self.last: list[str] = []

    def secret(self, number: int) -> str:
        return f"{self.salt}{number}"

    # -- behind our back --

    def edit(self, listing: str, name: str, fields: dict[str, Any] | None) -> None:
        thing = self.things.get((listing, name))
        if not thing:
            return
        path = f"/api/v2/{listing}/{segment(self.prefix + name)}"
        self.counts["edits"] += 1
        if fields is None:
            self.client.request("DELETE", path)
            del self.things[listing, name]
            return
        fields = real(fields, self.secret)
        body = {KEYS[listing] if listing != "pools" else "pool": self.prefix + name, **fields}
        if listing == "pools":
            body = {**thing.fields, **body}
        if listing == "connections":
            body = {**body, "conn_type": thing.fields["conn_type"]}
            if "extra" in fields:
                body["extra"] = json.dumps(fields["extra"])
        self.client.request("PATCH", path, body=body, query={"update_mask": list(fields)})
        thing.edit({k: stands_for(v) if (listing, k) == ("variables", "value") else v for k, v in fields.items()})

    # -- a step --

    def options(self, step: Step, elements: dict[str, list[Element]]) -> tuple[str, dict[str, Any]]:
        given = {
            listing: [
                {**e, KEYS[listing]: self.prefix + e[KEYS[listing]], **({"uri": uri(e["uri"])} if "uri" in e else {})}
                for e in those
            ]
            for listing, those in elements.items()
        }
        more = {"update_secrets": step.policy, **({"fingerprint_key": KEY} if step.keyed else {})}
        if not step.alone:
            return "resources", {**given, **more}
        [(listing, [element])] = given.items()
        return MODULES[listing], {**element, **({} if listing == "pools" else more)}

    def apply(self, step: Step) -> None:
        for edit in step.edits:
            self.edit(*edit)
        elements = {listing: real(those, self.secret) for listing, those in step.declared.items()}
        verdicts = {
            (listing, element[KEYS[listing]]): judge(
                listing,
                element[KEYS[listing]],
                self.things.get((listing, element[KEYS[listing]])),
                element,
                step.policy,
            )
            for listing, those in elements.items()
            for element in those
        }
        module, options = self.options(step, elements)
        with writes() as sent:
            foretold = self.run(module, True, api_token=self.client._token, **options)
        assert sent == [], "check mode wrote"
        with writes() as sent:
            done = self.run(module, api_token=self.client._token, **options)
        foretold.pop("warnings", None), done.pop("warnings", None)
        assert done == foretold
        assert self.salt not in json.dumps(done).replace(f"pre-{self.salt}", ""), "a secret is in the result"
        if any(verdict.refused for verdict in verdicts.values()):
            assert done.get("failed") and not done.get("changed"), done
            assert sent == []
            self.counts["refused"] += 1
            return
        assert not done.get("failed"), done
        self.compare(step, verdicts, done)
        assert bool(sent) == done["changed"]
        self.note(step, elements, verdicts, sent)
        self.look(elements)
        self.again(step, verdicts, module, options)

    def compare(self, step: Step, verdicts: dict[tuple[str, str], Verdict], done: dict[str, Any]) -> None:
        """What was done is what the model wants done; where nobody can know, either is right."""
        headers = {diff["before_header"]: diff for diff in done["diff"]}
        for (listing, name), verdict in verdicts.items():
            diff = headers.pop(f"{MODULES[listing]} {self.prefix}{name}", None)
            action = "none"
            if diff:
                action = "delete" if not diff["after"] else "update" if diff["before"] else "create"
            allowed = {verdict.action} | (set() if verdict.sure else {"none", "update"})
            assert action in allowed, (listing, name, verdict)
            self.counts[action] += 1
            self.counts["masked and " + ("known" if verdict.sure else "not known")] += bool(verdict.masked)
            verdict.action = action
            if not step.alone:
                found = {a for a, word in DONE.items() if self.prefix + name in done[listing][word]} or {"none"}
                assert found == {action}
            if diff and listing == "pools" and diff["after"]:
                after = {k: diff["after"][k] or type(v)() for k, v in verdict.fields.items()}
                assert after == verdict.fields
            if diff and listing == "connections" and diff["after"]:
                seen = {k: v for k, v in diff["after"].items() if k in verdict.fields}
                seen.pop("password"), seen.pop("extra")
                assert self.fits(seen, {k: verdict.fields[k] for k in seen}), (diff, verdict)
                assert diff["after"]["extra"].keys() == verdict.fields["extra"].keys()
        assert not headers
        assert done["changed"] == any(verdict.action != "none" for verdict in verdicts.values())

    def note(self, step: Step, elements: Any, verdicts: dict[tuple[str, str], Verdict], sent: Any) -> None:
        """The model follows."""
        for listing, those in elements.items():
            for element in those:
                name = element[KEYS[listing]]
                verdict, thing = verdicts[listing, name], self.things.get((listing, name))
                if verdict.action == "delete":
                    del self.things[listing, name]
                if verdict.action not in ("create", "update"):
                    continue
                declared = element["uri"] | {"uri": 1} if "uri" in element else element
                leaves = {
                    path: leaf for path, leaf in parts(verdict.fields) if "uri" in declared or path[0] in declared
                }
                if element.get("extra_mode") == "merge":
                    own = dict(parts({"extra": element.get("extra", {})}))
                    leaves = {p: leaf for p, leaf in leaves.items() if p[0] != "extra" or p in own}
                kept = set()
                if thing and step.policy == "on_create":
                    kept = {p for p in leaves if hidden(listing, name, p)}
                old = thing.known if thing and not thing.touched and not verdict.anew else {}
                is_now = dict(parts(verdict.fields))
                old = {p: leaf for p, leaf in old.items() if p in is_now and is_now[p] == leaf}
                known = {**old, **{p: leaf for p, leaf in leaves.items() if p not in kept}}
                self.things[listing, name] = Thing(verdict.fields, known, touched=not step.keyed)

    def fits(self, shown: Any, is_so: Any) -> bool:
        """Equal, but for what Airflow shows as a mask."""
        if isinstance(shown, dict) and isinstance(is_so, dict):
            return shown.keys() == is_so.keys() and all(self.fits(shown[k], is_so[k]) for k in is_so)
        if isinstance(shown, list) and isinstance(is_so, list):
            return len(shown) == len(is_so) and all(self.fits(*pair) for pair in zip(shown, is_so, strict=True))
        if isinstance(is_so, str) and isinstance(shown, str):
            masks = [(self.secret(n), mask) for n in range(3) for mask in ("***", "*" * 8)]  # Airflow's, Ansible's
            return shown == is_so or any(shown == is_so.replace(*mask) for mask in masks)
        return type(shown) is type(is_so) and shown == is_so

    def look(self, elements: dict[str, list[Element]]) -> None:
        """What Airflow has is what the model has."""
        for listing in elements:
            query = {f"{FILTERS[listing]}_prefix_pattern": self.prefix}
            rows = {row[KEYS[listing]]: row for row in self.client.pages(f"/api/v2/{listing}", listing, query)}
            ours = {self.prefix + name: thing for (kind, name), thing in self.things.items() if kind == listing}
            assert rows.keys() == ours.keys()
            for name, thing in ours.items():
                for key, value in thing.fields.items():
                    self.seen(listing, name.removeprefix(self.prefix), key, rows[name][key], value)

    def seen(self, listing: str, name: str, key: str, shown: Any, value: Any) -> None:
        if key == "extra":
            now, wanted = dict(parts(json.loads(shown or "{}"))), dict(parts(value))
            assert now.keys() == wanted.keys()
            for path, leaf in wanted.items():
                assert self.fits(now[path], leaf) or (hidden(listing, name, ("extra", *path)) and now[path] == "***")
        elif (listing, key) == ("variables", "value"):
            masked = hidden(listing, name, ("value",)) and veiled(stands_for(shown), value)
            assert masked or self.fits(stands_for(shown), value), (shown, value)
        elif key == "password":
            assert bool(shown) == bool(value)
        else:
            assert self.fits(shown or type(value)(), value), (listing, name, key, shown, value)

    def again(self, step: Step, verdicts: Any, module: str, options: dict[str, Any]) -> None:
        """The same once more changes nothing, unless secrets are always to be written."""
        with writes() as sent:
            result = self.run(module, api_token=self.client._token, **options)
        assert not result.get("failed"), result
        if step.policy != "always":
            assert not result["changed"] and result["diff"] == [] and sent == [], (result, sent)
            return
        for diff in result["diff"]:
            assert diff["before"].keys() == diff["after"].keys()
            assert "***" in json.dumps(diff)

    def end(self) -> None:
        """Everything goes, by the module too."""
        gone = {
            listing: [
                {KEYS[listing]: self.prefix + name, "state": "absent"} for kind, name in self.things if kind == listing
            ]
            for listing in KEYS
        }
        if any(gone.values()):
            result = self.run("resources", api_token=self.client._token, fingerprint_key=KEY, **gone)
            assert not result.get("failed"), result
            assert [len(result[listing]["deleted"]) for listing in gone] == [len(those) for those in gone.values()]

    def sweep(self) -> None:
        for listing, key in KEYS.items():
            for row in self.client.pages(
                f"/api/v2/{listing}", listing, {f"{FILTERS[listing]}_prefix_pattern": self.prefix}
            ):
                self.client.request("DELETE", f"/api/v2/{listing}/{segment(row[key])}")


def test_check_mode_foretells_what_happens(client: Client, run: Run, capsys: pytest.CaptureFixture[str]) -> None:
    client.get("/api/v2/version")  # logs in

    def body(steps: list[Step], counts: Counter[str]) -> None:
        sequence = Sequence(client, run, counts)
        try:
            for step in steps:
                counts["steps"] += 1
                sequence.apply(step)
            sequence.end()
        except BaseException:
            sequence.sweep()
            raise

    hold(sequences(), body, capsys, 25)
