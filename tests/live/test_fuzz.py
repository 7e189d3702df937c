# Copyright: (c) 2026, Windward contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Bad values for every option of every module of the action group, as the modules themselves declare the options."""

from __future__ import annotations

import importlib
import json
import os
import random
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from ansible.module_utils import basic
from ansible_collections.windward.airflow.plugins.module_utils import _module
from ansible_collections.windward.airflow.plugins.module_utils._client import Client
from conftest import KEY, Run
from wire import writes

ROOT = Path(__file__).parents[2]
GROUP = yaml.safe_load((ROOT / "meta/runtime.yml").read_text())["action_groups"]["airflow"]
SECONDS = 5
SEED = os.environ.get("LIVE_SEED") or str(random.randrange(2**32))
TRIALS = int(os.environ.get("LIVE_TRIALS") or 0)  # of each module; by default some
SLOW = ("role", "role_info", "user", "user_info")  # FAB takes a third of a second for each request
Spec = dict[str, Any]


class Declared(Exception):
    """Carries a module's argument spec out of it."""


def spec_of(name: str) -> Spec:
    def stop(_module: Any, argument_spec: Spec, **_more: Any) -> None:
        raise Declared(argument_spec)

    module = importlib.import_module(f"ansible_collections.windward.airflow.plugins.modules.{name}")
    with pytest.MonkeyPatch.context() as patch, pytest.raises(Declared) as caught:
        patch.setattr(basic.AnsibleModule, "__init__", stop)
        module.main()
    spec: Spec = caught.value.args[0]
    return spec


WRONG: dict[str, list[Any]] = {
    "str": [{"a": [1]}, ["wrong"], True],
    "path": [{"a": [1]}, ["wrong"], "/nowhere/at all"],
    "int": ["wrong", {}, 1.5, 2**31, 2**70, -(2**70), True],
    "float": ["wrong", {}, "nan", "inf", "-inf", 1e308, True],
    "bool": ["maybe", {}, 7, ["wrong"]],
    "list": [{"a": 1}, 7, [None], [[]], [{"unknown": 1}], [""], ["wrong", "wrong"]],
    "dict": ["wrong", 7, ["wrong"], {"": None}, {"a\0": "b\0"}],
    "raw": [{"a\0": "b\0"}, [None], "[" * 1200, json.loads("[" * 150 + "]" * 150)],
}
ALL = {
    "null": None,
    "empty": "",
    "negative": -1,
    "huge": "x" * 2**20,
    "control characters": "a\x01\x1b\x7f\r\n\u2028",
    "NUL": "a\0b",
}


def values(option: Spec) -> Iterator[Any]:
    """None of them is a truth value: no option is to be switched on."""
    kind = option.get("type", "str")
    plain = [*ALL.values(), *WRONG.get(kind, [])]
    yield from plain
    if kind == "list" and option.get("elements") != "dict":
        yield from ([value] for value in [*ALL.values(), *WRONG.get(option.get("elements", "str"), [])])


def good(prefix: str, spec: Spec) -> dict[str, Any]:
    """What a module needs, by its spec alone."""
    return {name: valid(prefix, option) for name, option in spec.items() if _needed(name, option)}


def _needed(name: str, option: Spec) -> bool:
    return bool(option.get("required")) and name not in _module.CONNECTION


def valid(prefix: str, option: Spec) -> Any:
    if option.get("choices"):
        one: Any = option["choices"][0]
    else:
        one = {"int": 1, "float": 1.0, "bool": False, "dict": {}, "list": []}.get(
            option.get("type", "str"), f"{prefix}a"
        )
    if option.get("type") == "list":
        element = {**option, "type": option.get("elements", "str")}
        return [good(prefix, option["options"]) if "options" in option else valid(prefix, element)]
    return one


# Only Airflow knows whether it has teams, and which. A role may be one that an earlier task of the same play makes.
TEAMS = {(name, "team_name") for name in ("connection", "variable", "pool", "resources")}
UNFORESEEN = TEAMS | {("user", "roles")}
# FAB refuses what it doesn't know before it writes anything; a check asks for its list.
REFUSED = TEAMS | {("role", "resource"), ("role", "actions")}
# With these more of a module is reached than with what it needs.
MORE: dict[str, dict[str, Any]] = {
    "connection": {"conn_type": "http"},
    "connections": {"conn_type": "http"},
    "pool": {"slots": 1},
    "pools": {"slots": 1},
    "variable": {"value": "x"},
    "variables": {"value": "x"},
    "permissions": {"resource": "DAGs", "actions": ["can_read"]},
    "user": {
        "email": "fuzz@example.org",
        "first_name": "A",
        "last_name": "B",
        "roles": ["Viewer"],
        "password": "x" * 16,
    },
}


def base_of(name: str, prefix: str) -> dict[str, Any]:
    spec = spec_of(name)
    base = {**good(prefix, spec), **MORE.get(name, {})}
    if "timeout" in spec:
        base["timeout"] = 0
    if "fingerprint_key" in spec:
        base["fingerprint_key"] = KEY
    return base


def trials(name: str, prefix: str) -> Iterator[tuple[str, dict[str, Any]]]:
    """An option, and options among which it is the only bad one."""
    spec, base = spec_of(name), base_of(name, prefix)
    for option, declared in spec.items():
        if option in _module.CONNECTION:
            assert declared == _module.CONNECTION[option]  # tried once, below
            continue
        for value in values(declared):
            if option == "timeout" and value in ("inf", 1e308, 2**31, 2**70):
                continue  # it would wait for so long, as told
            yield option, {**base, option: value}
        for inner, inner_declared in (declared.get("options") or {}).items():
            element = {**good(prefix, declared["options"]), **MORE.get(option, {})}
            for value in values(inner_declared):
                yield inner, {**base, option: [{**element, inner: value}]}


class Fuzz:
    def __init__(self, run: Run, name: str) -> None:
        self.run, self.name, self.wrong, self.refused, self.tried = run, name, [], 0, 0
        self.seconds: float = SECONDS
        self.usual = "no error"  # how an error begins that the good options have too: there is no such DAG

    def once(self, option: str, options: dict[str, Any], check: bool, slow: bool = False) -> dict[str, Any]:
        start = time.monotonic()
        with writes() as sent:
            try:
                result = self.run(self.name, check, **options)
            except BaseException as exc:
                result = {"failed": True, "exception": repr(exc)[:300], "msg": option}
        seconds = time.monotonic() - start
        written = sent and not result.get("failed")  # Airflow may think longer about what it takes
        late = seconds > self.seconds and not written
        if late and not slow and not sent:  # may be other people's work on the same machine
            return self.once(option, options, check, slow=True)
        self.tried += 1
        complaints = []
        msg = result.get("msg", "")
        named = option in msg or msg.startswith(self.usual)
        if "exception" in result:
            complaints.append(f"traceback {result['exception']}")
        if result.get("failed") and not named:
            complaints.append(f"error without its name: {result['msg'][:300]}")
        if sent and (check or result.get("failed")) and (check or (self.name, option) not in REFUSED):
            complaints.append(f"wrote {sent[0][:2]}, and said {result.get('msg', '')[:300]}")
        if late:
            complaints.append(f"{seconds:.1f} s")
        shown = {k: repr(v)[:80] for k, v in options.items()}
        self.wrong += [f"{self.name}.{option} {'check ' if check else ''}{shown}: {text}" for text in complaints]
        return result

    def twice(self, option: str, options: dict[str, Any]) -> None:
        """In check mode and for real, which must come to the same; what was made goes again."""
        foretold = self.once(option, options, check=True)
        done = self.once(option, options, check=False)
        self.refused += bool(done.get("failed"))
        unforeseen = (self.name, option) in UNFORESEEN or done.get("msg", "").startswith(self.usual)
        if unforeseen and done.get("failed"):
            return
        if bool(foretold.get("failed")) != bool(done.get("failed")) or foretold.get("changed") != done.get("changed"):
            self.wrong.append(f"{self.name}.{option}: check mode foretold {foretold}, it was {done}"[:600])
        if done.get("changed"):
            self.run(self.name, **absent(options))


def absent(options: dict[str, Any]) -> dict[str, Any]:
    if any(name in options for name in ("connections", "variables", "pools")):
        keep = ("fingerprint_key",)
        lists = {name: [absent(one) for one in those] for name, those in options.items() if isinstance(those, list)}
        return {**{name: options[name] for name in keep if name in options}, **lists}
    return {**options, "state": "absent"}


@pytest.mark.parametrize("name", GROUP)
def test_bad_values(client: Client, run: Run, prefix: str, name: str) -> None:
    client.get("/api/v2/version")
    fuzz = Fuzz(lambda *words, **options: run(*words, api_token=client._token, **options), name)
    tried = list(trials(name, prefix))
    tried = random.Random(SEED).sample(tried, min(TRIALS or (6 if name in SLOW else 20), len(tried)))
    start = time.monotonic()
    plain = fuzz.run(name, **base_of(name, prefix))
    fuzz.seconds = max(SECONDS, 4 * (time.monotonic() - start))  # where good options take long, so may bad ones
    if plain.get("failed"):
        fuzz.usual = plain["msg"][:10]
    elif plain["changed"]:
        fuzz.run(name, **absent(base_of(name, prefix)))
    for option, options in tried:
        fuzz.twice(option, options)
    assert not fuzz.wrong, f"{len(fuzz.wrong)} of {fuzz.tried}:\n" + "\n".join([f"LIVE_SEED={SEED}", *fuzz.wrong])
    assert fuzz.refused > len(tried) / 8


@pytest.mark.parametrize("option", _module.CONNECTION)
def test_bad_ways_to_reach_airflow(run: Run, prefix: str, option: str) -> None:
    """The same code in every module, so one that writes is enough."""
    fuzz = Fuzz(run, "pool")
    hosts = ["http://..", f"http://{'a' * 64}", "http://[::1"] if option == "api_url" else []
    for value in [*values(_module.CONNECTION[option]), *hosts]:
        fuzz.twice(option, {"name": f"{prefix}a", "slots": 1, option: value})
    assert not fuzz.wrong, "\n".join(fuzz.wrong)
