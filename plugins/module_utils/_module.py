# Copyright: (c) 2026, Windward contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Private to the collection. What every module that talks to Airflow's REST API shares with Ansible."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from datetime import datetime
from typing import Any

from ansible.module_utils.basic import AnsibleModule, env_fallback

from ._client import AirflowApiError, Client
from ._masks import Unreadable, deep, texts, without


def _option(variable: str, **spec: Any) -> dict[str, Any]:
    return {**spec, "fallback": (env_fallback, [variable])}


CONNECTION = {
    "api_url": _option("AIRFLOW_API_URL", type="str", required=True),
    "api_username": _option("AIRFLOW_API_USERNAME", type="str"),
    "api_password": _option("AIRFLOW_API_PASSWORD", type="str", no_log=True),
    "api_token": _option("AIRFLOW_API_TOKEN", type="str", no_log=True),
    "api_token_in": _option(
        "AIRFLOW_API_TOKEN_IN", type="str", choices=["header", "cookie"], default="header", no_log=False
    ),
    "api_ca_path": _option("AIRFLOW_API_CA_PATH", type="path"),
    "validate_certs": _option("AIRFLOW_API_VALIDATE_CERTS", type="bool", default=True),
    "api_kubeconfig": _option("AIRFLOW_API_KUBECONFIG", type="path"),
    "api_context": _option("AIRFLOW_API_CONTEXT", type="str"),
    "api_timeout": _option("AIRFLOW_API_TIMEOUT", type="float", default=30.0),
    "api_retry_timeout": _option("AIRFLOW_API_RETRY_TIMEOUT", type="float", default=60.0),
}


class Module(AnsibleModule):
    """Ansible knows no secret of its options when one of them has a wrong type, and would show them all."""

    checked = False
    hidden: Mapping[int, set[str]] = {}  # secrets by their lengths, instead of those that Ansible takes for secrets

    def hide(self, secrets: Iterable[str]) -> None:
        """Keep these out of every result, and nothing else."""
        self.no_log_values.clear()
        by_length: dict[int, set[str]] = {}
        for text in secrets:
            by_length.setdefault(len(text), set()).add(text)
        self.hidden = by_length

    def exit_json(self, **result: Any) -> None:
        super().exit_json(**without(result, self.hidden))

    def refuse(self, msg: str) -> None:
        """Fail with words of our own: Ansible would cut out of them every letter that a no_log option consists of."""
        self.no_log_values.clear()
        self.fail_json(msg=msg, invocation={})

    def _load_params(self) -> None:
        super()._load_params()
        self.given = dict(self.params)  # without what is wrong they are no more when that is told

    def fail_json(self, msg: str, **result: Any) -> None:
        if not self.checked:
            secret = [self.given.get(name) for name, spec in self.argument_spec.items() if spec.get("no_log")]
            long = [text for text in texts(secret) if len(text) >= 8]
            names = "\n".join(option_names(self.argument_spec))  # which the message is to tell
            self.no_log_values.difference_update({text for text in self.no_log_values if text in names})
            self.no_log_values.update(long, (repr(text)[1:-1] for text in long))  # as such messages quote them
            result["invocation"] = {}
            if msg.startswith("dictionary requested"):  # Ansible doesn't say of which option
                msg = f"{' or '.join(no_dictionaries(self.argument_spec, self.given))}: {msg}"
        super().fail_json(without(msg, self.hidden), **without(result, self.hidden))


def run(
    spec: dict[str, Any], act: Callable[[Module, Client], dict[str, Any]], *, log_in: bool = True, **rules: Any
) -> None:
    """Let `act` do the module's work. The only place where an error becomes the task's failure."""
    module = Module(
        argument_spec={**CONNECTION, **spec},
        supports_check_mode=True,
        required_together=[("api_username", "api_password")],
        required_by={"api_context": ["api_kubeconfig"]},
        required_one_of=[("api_token", "api_username")] if log_in else None,
        **rules,
    )
    module.checked = True
    for name, value in module.params.items():
        if deep(value):
            module.refuse(f"{deepest(name, value, module.argument_spec[name])} {Unreadable()}")
        if wrong := truth_for_number(name, value, module.argument_spec[name]):
            module.refuse(f"{wrong} must be a number, not true or false")
        if reason := unsendable(value):
            module.fail_json(msg=f"{name} must not have {reason}")
        if name in ("timeout", "interval") and value is not None and not value >= 0:
            module.fail_json(msg=f"{name} must be 0 or more")
        if name in ("dag_id", "dag_ids", "bundle_name"):
            given = [value] if isinstance(value, str) else value or ()
            if any(not 0 < len(text) <= 250 or "\n" in text for text in given):
                module.fail_json(msg=f"{name} must have 1 to 250 characters, and no line break")
    given = {name: module.params[name] for name in CONNECTION}
    try:
        client = Client(
            given.pop("api_url"),
            validate_certs=given.pop("validate_certs"),
            **{name.removeprefix("api_"): value for name, value in given.items()},
        )
    except AirflowApiError as exc:
        module.refuse(str(exc))  # without the options: a URL that is refused may hold a password
    try:
        with client:
            result = act(module, client)
    except AirflowApiError as exc:
        module.fail_json(msg=str(exc), **exc.result)
    module.exit_json(**result)


def option_names(specs: Mapping[str, Any]) -> Iterator[str]:
    for name, spec in specs.items():
        yield name
        yield from option_names(spec.get("options") or {})


def no_dictionaries(specs: Mapping[str, Any], given: Any, within: str = "") -> Iterator[str]:
    """The options of which one has a text that is to be a dictionary and is none."""
    for name, spec in specs.items() if isinstance(given, Mapping) else ():
        value = given.get(name)
        elements = value if isinstance(value, list) else [value]
        if "dict" in (spec.get("type"), spec.get("elements")) and any(isinstance(one, str) for one in elements):
            yield f"{within}{name}"
        for element in elements if "options" in spec else ():
            yield from no_dictionaries(spec["options"], element, f"{name}.")


def truth_for_number(name: str, value: Any, spec: Mapping[str, Any]) -> str | None:
    """The option that has a truth value for a number: Ansible takes that for one, and Airflow makes 1 or 0 of it."""
    if isinstance(value, bool):
        return name if spec.get("type") == "int" else None
    for option, inner in (spec.get("options") or {}).items():
        for element in value if isinstance(value, list) else ():
            if wrong := truth_for_number(f"{name}.{option}", element.get(option), inner):
                return wrong
    return None


def deepest(name: str, value: Any, spec: Mapping[str, Any]) -> str:
    """The option that is nested too deeply: an inner one, if it is so by itself."""
    inner = ((option, element.get(option)) for option in spec.get("options") or () for element in value)
    return next((f"{name}.{option}" for option, one in inner if deep(one)), name)


def unsendable(value: Any) -> str | None:
    """What no Airflow takes, wherever in an option it is. All of it is looked at in one piece first: it may be long."""
    try:
        text = json.dumps(value, ensure_ascii=False, default=str)
        text.encode()
    except (TypeError, ValueError):
        return _unsendable(value)
    return _unsendable(value) if "\\u0000" in text else None


def _unsendable(value: Any, where: str = "") -> str | None:
    if isinstance(value, Mapping):
        reasons = [_unsendable(one, f"{where}.{key}".strip(".\0")) for key, one in value.items()]
        return next((reason for reason in reasons if reason), None) or _unsendable([*value], where)
    if isinstance(value, (list, tuple)):
        return next((reason for reason in (_unsendable(one, where) for one in value) if reason), None)
    if isinstance(value, str) and "\0" in value:
        return f"NUL in {where or 'it'}"
    if isinstance(value, str) and any("\ud800" <= letter <= "\udfff" for letter in value):
        return f"bytes in {where or 'it'} that are no UTF-8"
    return None


def looks(timeout: float, interval: float) -> Iterator[float]:
    """Yield the seconds gone by: at once, then ever more seldom down to each `interval`, last when time is up."""
    start, pause = time.monotonic(), min(0.5, interval)
    yield 0.0
    while (left := start + timeout - time.monotonic()) > 0:
        time.sleep(min(pause, left))
        pause = min(pause * 1.5, interval)
        yield time.monotonic() - start


def moment(text: str) -> datetime:
    """A timestamp of the API or of a task; UTC if it names no zone. (Python below 3.11 doesn't read "Z".)"""
    text = text.strip().replace("Z", "+00:00")
    when = datetime.fromisoformat(text)
    return when if when.tzinfo else datetime.fromisoformat(f"{text}+00:00")
