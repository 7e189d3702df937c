# Copyright: (c) 2026, Windward contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Private to the collection. Many objects at a time: plan them all, write them in bulk, tell what was done."""

from __future__ import annotations

import json
import re
import uuid
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from typing import Any

from ._client import AirflowApiError, Client, segment
from ._kinds import Kind
from ._masks import MASK, Path, leaves, masked, sensitive, texts
from ._merge import joined, narrowed, replaced, rest
from ._module import Module
from ._resource import Plan, plan
from ._secrets import RESERVED, Fingerprints, carried, spared

CHUNK = 250  # objects in a request: Airflow may take a second for ten new secrets, and must answer within api_timeout
MARK = "windward-write-"
MASKS_BULK_WRITES = (3, 3, 2)  # tests/matrix measures it
KNOWS_UPDATE_MASK = (3, 2, 0)  # in bulk; before, it refuses a request that has one
SECRETS_OPTIONS = {
    "fingerprint_key": {"type": "str", "no_log": True},
    "update_secrets": {"type": "str", "choices": ["on_change", "always", "on_create"], "no_log": False},
}


@dataclass
class Step:
    """One object: what was declared, and what is to be done."""

    name: str
    element: Mapping[str, Any]
    wanted: dict[str, Any]
    plan: Plan
    rest: dict[str, Any] = field(default_factory=dict)  # what of an extra is merged with, not declared
    anew: bool = False  # an update that Airflow can't do: it is deleted and created

    @property
    def sent(self) -> str:
        return "create" if self.anew else self.plan.action


@dataclass
class Work:
    """All that is to be done to the objects of one kind."""

    kind: Kind
    known: Fingerprints
    steps: list[Step]
    done: set[str] = field(default_factory=set)
    failed: dict[str, str] = field(default_factory=dict)

    @property
    def changing(self) -> list[Step]:
        return [step for step in self.steps if step.plan.action != "none"]


def policy(params: Mapping[str, Any], declares_secrets: bool) -> str | None:
    """How secrets are treated. Without a key nobody can know whether they changed, so then it must be said."""
    key, chosen = params["fingerprint_key"], params["update_secrets"]
    if chosen == "on_change" and not key:
        raise AirflowApiError("update_secrets: on_change needs fingerprint_key")
    if key is not None and len(key) < 16:
        raise AirflowApiError("fingerprint_key must have 16 characters or more")
    if declares_secrets and not key and not chosen:
        raise AirflowApiError(
            "Airflow doesn't show secrets, so whether one changed can't be seen. Give fingerprint_key, or choose "
            "update_secrets: always (write them in every run) or on_create (never write them again)"
        )
    return chosen or ("on_change" if key else None)


def declares_secrets(kind: Kind, element: Mapping[str, Any]) -> bool:
    if element.get("state") == "absent" or not kind.masked:
        return False
    if kind.kind != "connection":
        given = element.get("value") is not None or element.get("src") is not None
        return given and kind.hides(element, "value", None)
    try:
        wanted = kind.wanted(element)
    except ValueError:
        return False  # is told of later
    return bool(wanted["password"]) or masked(wanted["extra"]) != wanted["extra"]


# -- plan --------------------------------------------------------------------------------------------------------------


def work(kind: Kind, elements: Iterable[Mapping[str, Any]], rows: Mapping[str, Any], known: Fingerprints) -> Work:
    """What makes the rows what the elements declare; pure but for what `known` reads."""
    elements, steps, wrong, seen = list(elements), [], [], set()
    known.asked, known.rows = {element[kind.key] for element in elements}, rows
    for element in elements:
        name = element[kind.key]
        try:
            if name in seen:
                raise ValueError("is declared twice")
            wanted = kind.checked(element)
        except ValueError as exc:
            reason: str | None = str(exc)
        else:
            steps.append(step(kind, name, element, wanted, rows.get(name), known))
            reason = _refused(kind, steps[-1], known)
            known.warnings.update(_doubtful(kind, steps[-1]))
        seen.add(name)
        if reason:
            wrong.append(f"{kind.kind} {name}: {reason}")
    if wrong:
        raise AirflowApiError("\n".join(wrong))
    if kind.masked and any(one.plan.action != "none" for one in steps):
        known.ready()
    return Work(kind, known, steps)


def step(
    kind: Kind,
    name: str,
    element: Mapping[str, Any],
    wanted: dict[str, Any],
    row: Mapping[str, Any] | None,
    known: Fingerprints,
) -> Step:
    decoded = None if row is None else kind.decode(row)
    current = None if decoded is None else {key: decoded.get(key) for key in kind.fields}
    declared, left = wanted.get("extra"), {}
    if current and declared is not None and element.get("extra_mode") == "merge" and not element.get("uri"):
        left = rest(current["extra"] or {}, declared)

    def same(name_of_field: str, is_now: Any, value: Any) -> bool:
        if left and name_of_field == "extra":
            is_now = narrowed(is_now, value)
        return known.same(name, (name_of_field,), is_now, value)

    done = plan(current, wanted, element.get("state") or "present", kind.defaults, same)
    anew = done.action == "update" and any(name in done.fields and not wanted[name] for name in kind.stuck)
    return Step(name, element, wanted, done, left, anew)


def _refused(kind: Kind, one: Step, known: Fingerprints) -> str | None:
    missing = [key for key in kind.required if one.plan.action == "create" and one.wanted[key] is None]
    if missing:
        return f"creating it needs {', '.join(missing)}"
    if one.anew:
        after = {**one.plan.after, **({"extra": one.rest} if one.rest else {})}
        bare = [name for name, value in after.items() if value and (one.wanted[name] is None or value is one.rest)]
        if bare:
            return (
                f"Airflow empties {', '.join(kind.stuck)} only by deleting and creating it. Declare {', '.join(bare)} "
                "too, so that nothing can be lost in between"
            )
    if one.sent == "update":
        try:
            carried(one.rest, known.hidden)
        except ValueError as exc:
            return (
                f"Airflow masks extra.{exc} and would store the mask if it were merged. Declare that key too, or use "
                "extra_mode: replace"
            )
    if known.spares and one.sent == "update" and "extra" in one.plan.fields:
        try:
            _spare(one, known, "extra")
        except ValueError as exc:
            return (
                f"Airflow masks extra.{exc} and would not restore it, so the extra can't be changed without writing "
                "that secret. Choose another update_secrets than on_create"
            )
    if known.spares and one.sent == "update" and "value" in one.plan.fields:
        try:
            _spare(one, known, "value")
        except ValueError as exc:
            return (
                f"Airflow masks value.{exc} and keeps no part of a value, so it can't be changed without writing that "
                "secret. Choose another update_secrets than on_create"
            )
    return kind.refuse(one.name, one.plan)


def _doubtful(kind: Kind, one: Step) -> Iterator[str]:
    for name in one.plan.fields if kind.masked else ():
        if any(MASK in text for text in texts(one.wanted[name])):
            yield f"{kind.kind} {one.name}: {name} holds {MASK}, as Airflow shows secrets. Was it copied from there?"


def surplus(
    kind: Kind, elements: list[Mapping[str, Any]], rows: Mapping[str, Any], keep: list[str]
) -> Iterator[Mapping[str, Any]]:
    """Elements that delete what is there and not declared."""
    if all(element.get("state") == "absent" for element in elements):
        raise AirflowApiError(f"purge: no {kind.listing} are declared, so all would be deleted; that is refused")
    declared = {element[kind.key] for element in elements}
    for name in rows.keys() - declared:
        if name in kind.only or name.startswith(RESERVED) or any(fnmatchcase(name, pattern) for pattern in keep):
            continue
        yield {kind.key: name, "state": "absent"}


def found(kind: Kind, client: Client, name: str) -> dict[str, Any]:
    if kind.kind == "connection" and "/" in name:  # one of Airflow 2's, to which no path leads
        return {key: row for key, row in listed(kind, client).items() if key == name}
    row = client.find(f"{kind.path}/{segment(name)}")
    return {} if row is None else {name: row}


def listed(kind: Kind, client: Client) -> dict[str, Any]:
    return {row[kind.key]: row for row in client.pages(kind.path, kind.listing, {"order_by": _ORDER[kind.listing]})}


_ORDER = {"connections": "connection_id", "variables": "key", "pools": "name"}


# -- apply -------------------------------------------------------------------------------------------------------------


def apply_all(module: Module, client: Client, works: list[Work]) -> dict[str, Any]:
    """Write what changes, unless this is a check; give the task's result. A failure tells what was done before it."""
    diffs = [shown(one.kind, one.known, a_step) for one in works for a_step in one.changing]
    one_by_one = _one_by_one(client, works, module.check_mode)
    if not module.check_mode:
        for one in works:
            try:
                _write(client, one, (one_by_one and one.kind.masked) or _unknown_mask(client, one))
            except AirflowApiError as exc:  # of the fingerprints, after the objects
                done = {each.kind.listing: summary(each, False) for each in works}
                raise AirflowApiError(
                    f"The {one.kind.listing} were written ({', '.join(sorted(one.done))}), but not their "
                    f"fingerprints, so the next run writes them once more: {exc}",
                    exc.status,
                    {**done, "changed": any(each.done for each in works)},
                ) from exc
    for warning in sorted({text for one in works for text in one.known.warnings}):
        module.warn(warning)
    result = {
        "changed": any(one.changing for one in works),
        "diff": diffs,
        **{one.kind.listing: summary(one, module.check_mode) for one in works},
    }
    failed = [f"{one.kind.kind} {name}: {why}" for one in works for name, why in one.failed.items()]
    if failed:
        changed = any(one.done for one in works)
        raise AirflowApiError(
            f"{len(failed)} of {sum(len(one.changing) for one in works)} objects could not be written:\n"
            + "\n".join(failed),
            result={**result, "changed": changed, "diff": []},
        )
    return result


def summary(one: Work, predicted: bool) -> dict[str, Any]:
    """What was (in a check: would be) done, by name."""
    names: dict[str, list[str]] = {"create": [], "update": [], "delete": []}
    for a_step in one.changing:
        if predicted or a_step.name in one.done:
            names[a_step.plan.action].append(a_step.name)
    unchanged = len(one.steps) - len(one.changing)
    return {**{f"{action}d": sorted(which) for action, which in names.items()}, "unchanged": unchanged}


def shown(kind: Kind, known: Fingerprints, one: Step) -> dict[str, Any]:
    """A diff that tells that a secret changes, and not what it is."""
    sides: dict[str, dict[str, Any]] = {"before": dict(one.plan.before), "after": dict(one.plan.after)}
    if one.rest and sides["after"]:
        sides["after"]["extra"] = joined(one.rest, sides["after"]["extra"])
    for name in kind.fields:
        was, becomes = sides["before"].get(name), sides["after"].get(name)
        if not kind.hides(one.element, name, was) and not (name == "value" and known.was_secret(one.name)):
            for side in sides.values():
                if isinstance(side.get(name), tuple):  # JSON that is a text or null
                    side[name] = json.dumps(side[name][0])
            continue
        if name in sides["before"]:
            sides["before"][name] = {key: MASK for key in was} if isinstance(was, dict) and was else was and MASK
        if name in sides["after"]:
            new = name in one.plan.fields
            if name == "extra" and becomes:
                old = was or {}
                new_keys = one.wanted[name] or {} if new and one.plan.before else {}
                visible = narrowed(old, new_keys) if one.rest else old
                same = {k for k in becomes if k not in new_keys or (
                    k in old and known.same(one.name, (name, k), visible[k], new_keys[k]))}  # fmt: skip
                sides["after"][name] = {k: MASK if k in same else f"{MASK} (written)" for k in becomes}
            else:
                sides["after"][name] = becomes and (f"{MASK} (written)" if new and one.plan.before else MASK)
    header = f"{kind.kind} {one.name}"
    return {"before_header": header, "after_header": header, **sides}


def _one_by_one(client: Client, works: list[Work], check_mode: bool) -> bool:
    """Whether Airflow writes what is in bulk requests into its audit log unmasked. What is sent by itself it masks
    by its name, as in its answers; a secret that only our declaration calls one would stay readable."""
    steps = [a_step for one in works if one.kind.masked for a_step in one.changing]
    by_declaration = [s.name for s in steps if s.plan.after and s.element.get("secret") and not sensitive(s.name)]
    if not steps or (check_mode and not by_declaration):
        return False
    version = client.older(*MASKS_BULK_WRITES)
    if version and by_declaration:
        raise AirflowApiError(
            f"Airflow {version} writes these variables into its audit log unmasked, since it doesn't take them for "
            f"secrets by their names: {', '.join(sorted(by_declaration))}. Give them names with a word such as "
            "password, secret or token, or upgrade to 3.3.2"
        )
    return bool(version)


def _unknown_mask(client: Client, one: Work) -> bool:
    """Whether an object is among them of which only some fields may be updated, which Airflow can't be told in bulk."""
    some = any(a_step.sent == "update" and a_step.name in one.kind.only for a_step in one.changing)
    return some and bool(client.older(*KNOWS_UPDATE_MASK))


def _write(client: Client, one: Work, one_by_one: bool) -> None:
    """Objects first, fingerprints second: what breaks in between is written once more, never taken as written."""
    whole = [a_step for a_step in one.changing if not _described_only(one, a_step)]
    described = [a_step for a_step in one.changing if _described_only(one, a_step)]
    writes: dict[str, dict[str, Any]] = {}
    try:
        for steps, mask in ((whole, None), (described, ["description", "team_name"])):
            for at in range(0, len(steps), CHUNK):
                mark = f"{MARK}{uuid.uuid4().hex}"
                part = steps[at : at + CHUNK]
                anew = [a_step.name for a_step in part if a_step.anew]
                actions = _body(one, part, mask, mark, one_by_one)["actions"]
                try:
                    if anew:  # in one request with its creation Airflow would only delete it
                        gone = {"action": "delete", "action_on_non_existence": "skip", "entities": anew}
                        client.request("PATCH", one.kind.path, body={"actions": [gone]})
                    answer = (_singly if one_by_one else _in_bulk)(client, one.kind, actions)
                except AirflowApiError as exc:
                    one.failed.update(_reasons(one, part, actions, exc))
                    rest = (a_step.name for a_step in one.changing if a_step.name not in one.done | one.failed.keys())
                    one.failed.update(dict.fromkeys(rest, "not tried"))
                    return
                _judge(one, part, answer)
                writes[mark] = {
                    a_step.name: {k: v for k, v in a_step.wanted.items() if v is not None}
                    for a_step in part
                    if a_step.name in one.done and a_step.plan.action != "delete"
                }
    finally:
        if one.kind.masked:
            deleted = {s.name for s in one.changing if s.plan.action == "delete"} & one.done
            merged = {a_step.name: [*replaced(a_step.plan.before["extra"], a_step.wanted["extra"], ("extra",))]
                      for a_step in one.changing if a_step.rest}  # fmt: skip
            # Once declared to be one, it stays so until it is declared to be none.
            secret = {s.name for s in one.changing
                      if s.element.get("secret") or (s.element.get("secret") is None and one.known.was_secret(s.name))}
            one.known.record(writes, deleted, merged, secret, one_by_one)


def _reasons(one: Work, steps: list[Step], actions: list[dict[str, Any]], exc: AirflowApiError) -> dict[str, str]:
    """Why each object of a request was not written: for one that it can't read Airflow refuses all of them."""
    wrong: dict[str, dict[str, None]] = {}
    for place, text in exc.wrong.items():
        found = re.fullmatch(r"body\.actions\.(\d{1,4})\.\w+\.entities\.(\d{1,4})\.?(.*)", ".".join(place))
        try:
            entity = actions[int(found[1])]["entities"][int(found[2])] if found else None
        except LookupError:
            continue  # that isn't Airflow's answer
        if found and isinstance(entity, dict):
            wrong.setdefault(entity[one.kind.key], {})[": ".join(filter(None, (found[3], text)))] = None
    hint = " (with fingerprint_key it takes the right to delete)" if exc.status == 403 and one.known.keeps else ""
    others = f"not written, since Airflow refused the request for {', '.join(wrong)}" if wrong else f"{exc}{hint}"
    said = {name: f"{exc.status}: {'; '.join(reasons)}" for name, reasons in wrong.items()}
    return {a_step.name: said.get(a_step.name, others) for a_step in steps}


def _in_bulk(client: Client, kind: Kind, actions: list[dict[str, Any]]) -> dict[str, Any]:
    """When two create the same at once, Airflow answers one of them 409 and does nothing of it. Then it is there."""
    answer: dict[str, Any]
    try:
        answer = client.request("PATCH", kind.path, body={"actions": actions})
    except AirflowApiError as exc:
        if exc.status != 409:
            raise
        answer = client.request("PATCH", kind.path, body={"actions": actions})
    return answer


def _singly(client: Client, kind: Kind, actions: list[dict[str, Any]]) -> dict[str, Any]:
    """Does and answers the same, one object at a time. What is deleted, the mark among it, goes ahead in bulk."""
    deleting = [action for action in actions if action["action"] == "delete"]
    answer = _in_bulk(client, kind, deleting) if deleting else {}
    unreachable = ""
    for action in (action for action in actions if action["action"] != "delete"):
        done = answer[action["action"]] = answer.get(action["action"]) or {"success": [], "errors": []}
        for entity in action["entities"]:
            name = entity[kind.key]
            try:
                if unreachable:
                    raise AirflowApiError(unreachable)
                if action["action"] == "create":
                    client.request("POST", kind.path, body=entity)
                else:
                    query = {"update_mask": action["update_mask"]} if "update_mask" in action else None
                    body = {(kind.patch_key or key) if key == kind.key else key: value for key, value in entity.items()}
                    client.request("PATCH", f"{kind.path}/{segment(name)}", query=query, body=body)
                done["success"].append(name)
            except AirflowApiError as exc:
                # 3.2 ends with a bare 500 where teams are off.
                hint = " (team_name is for an Airflow with teams)" if entity.get("team_name") else ""
                done["errors"].append({"name": name, "error": f"{exc}{hint}"})
                unreachable = unreachable or ("" if exc.status else str(exc))
    return answer


def _described_only(one: Work, a_step: Step) -> bool:
    """A variable whose value stays as it is, not declared or not seen, and whose description or team changes."""
    if a_step.plan.action != "update" or "value" not in one.kind.fields or "value" in a_step.plan.fields:
        return False
    kept = one.known.kept.get(a_step.name, ())
    return a_step.wanted["value"] is None or any(path[0] == "value" for path in kept)


def _body(one: Work, steps: list[Step], mask: list[str] | None, mark: str, singly: bool) -> dict[str, Any]:
    created, gone = [], []
    updated: dict[tuple[str, ...], list[Any]] = {}  # by the fields to which the update is to keep; none are all
    for a_step in steps:
        if a_step.plan.action == "delete":
            gone.append(a_step.name)
            continue
        entity = {one.kind.key: a_step.name, **_fields(one, a_step, mask)}
        if a_step.sent == "create":
            created.append(entity)
            if one.kind.teamless and not singly and entity.get("team_name"):
                updated.setdefault(("team_name",), []).append(entity)
        else:
            updated.setdefault(tuple(mask or one.kind.only.get(a_step.name, ())), []).append(entity)
    actions: list[dict[str, Any]] = []
    if created:  # repeated after a lost answer it has the same effect, which `fail` would not
        actions.append({"action": "create", "action_on_existence": "overwrite", "entities": created})
    for fields, entities in updated.items():
        more = {"update_mask": list(fields)} if fields else {}
        actions.append({"action": "update", "action_on_non_existence": "skip", "entities": entities, **more})
    # The mark names nothing; it makes this request known in the audit log. It needs the right to delete.
    gone += [mark] if one.known.keeps else []
    if gone:
        actions.append({"action": "delete", "action_on_non_existence": "skip", "entities": gone})
    return {"actions": actions}


def _fields(one: Work, a_step: Step, mask: list[str] | None) -> dict[str, Any]:
    """All that was declared, so that the object is then as declared whoever changed it meanwhile."""
    kept = one.known.kept.get(a_step.name, set()) if a_step.sent == "update" else set()
    fields = {k: v for k, v in a_step.wanted.items() if v is not None and (k,) not in kept}
    if a_step.anew:
        fields = {**a_step.plan.after, **fields}
    if mask:
        fields = {k: v for k, v in fields.items() if k in mask}
    fields = {**{key: a_step.plan.after[key] for key in one.kind.always}, **fields}
    if fields.get("extra") is not None:
        try:
            spares = one.known.spares and a_step.sent == "update"
            declared = _spare(a_step, one.known, "extra") if spares else fields["extra"]
            fields["extra"] = joined(carried(a_step.rest, one.known.hidden), declared)
        except ValueError:  # refused, if it were to change
            del fields["extra"]
    return one.kind.encode(fields, a_step.element)


def _spare(a_step: Step, known: Fingerprints, name: str) -> Any:
    """A declared field, with masks where Airflow is to leave the secret that it has, which it does in an extra only."""

    def proved(path: Path, wanted: Any) -> bool:
        return known.proved(a_step.name, (name, *path), wanted)

    def hidden(key: object) -> bool:
        return name == "extra" and known.hidden(key)

    return spared(a_step.plan.before[name], a_step.wanted[name], hidden, proved)


def _judge(one: Work, steps: list[Step], answer: Mapping[str, Any]) -> None:
    """The status is 200 whatever happened, and a list of names says what did."""
    for action in ("create", "update", "delete"):
        part = answer.get(action) or {}
        for a_step in steps:
            if a_step.sent != action:
                continue
            errors = [error for error in part.get("errors", ()) if error.get("name", a_step.name) == a_step.name]
            reasons = "; ".join(str(error.get("error")) for error in errors)
            if a_step.name in part.get("success", ()) or (action == "delete" and not reasons):
                one.done.add(a_step.name)
            else:
                one.failed[a_step.name] = reasons or "it was deleted by somebody else in the meantime"


# -- what the modules share --------------------------------------------------------------------------------------------


def guard(module: Module, kinds: Mapping[str, tuple[Kind, list[Mapping[str, Any]]]]) -> None:
    """Keep Ansible from masking what is no secret.

    The options are no_log as a whole, so that no part of them gets into the host's journal. By that Ansible would
    also replace every text in them, be it a single letter, wherever it occurs in the result. The results hold no
    secret by their making; the secrets of some length stay masked all the same.
    """
    secret = {text for name in ("api_password", "api_token", "fingerprint_key") for text in texts(module.params[name])}
    for kind, elements in kinds.values():
        for element in elements:
            given = [element.get(option) for option in ("password", "uri")]
            given += [one for path, one in leaves(element.get("extra")) if any(map(sensitive, path))]
            given += [element.get("value")] if kind.hides(element, "value", None) else []
            secret.update(text for text in texts(given) if len(text) >= 8)
    names = "\n".join(str(element[kind.key]) for kind, elements in kinds.values() for element in elements)
    module.hide({text for text in secret if text and text not in names})


def manage_one(kind: Kind, module: Module, client: Client) -> tuple[dict[str, Any], Work]:
    """The work of a module that manages a single object."""
    element = module.params
    guard(module, {kind.listing: (kind, [element])})
    try:
        chosen = policy(element, declares_secrets(kind, element))
        known = Fingerprints(client, kind.kind, element["fingerprint_key"], chosen)
        if reason := kind.wrong(element):
            raise AirflowApiError(f"{kind.kind} {element[kind.key]}: {reason}")
        one = work(kind, [element], found(kind, client, element[kind.key]), known)
        result = apply_all(module, client, [one])
    except AirflowApiError as exc:
        exc.result.pop(kind.listing, None)
        exc.result["invocation"] = {}
        raise
    del result[kind.listing]
    diff = shown(kind, known, one.steps[0])
    after = {kind.key: element[kind.key], **diff["after"]} if one.steps[0].plan.after else None
    return {**result, kind.kind: _plain(after), "invocation": {}}, one


def _plain(after: dict[str, Any] | None) -> dict[str, Any] | None:
    """The object as it is now: what changed is told by the diff."""
    if after is None:
        return None
    return {k: {n: MASK for n in v} if k == "extra" else MASK if isinstance(v, str) and v.startswith(MASK) else v
            for k, v in after.items()}  # fmt: skip
