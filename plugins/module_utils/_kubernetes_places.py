# Copyright: (c) 2026, Windward contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Private to the collection. Objects of any kind: where they are in the Kubernetes API, which the cluster itself tells,
and what would come of them."""

from __future__ import annotations

from typing import Any

from ._kubernetes_api import APPLY, Api, KubernetesError, NotThere

Object = dict[str, Any]
# What Kubernetes writes by itself.
OWN = ("creationTimestamp", "generation", "managedFields", "resourceVersion", "selfLink", "uid")


class Places:
    """Where objects are, by kind."""

    def __init__(self, api: Api, namespace: str) -> None:
        self.api, self.namespace = api, namespace
        self._known: dict[str, list[Object]] = {}

    def place(self, one: Object) -> str:
        version, kind = one["apiVersion"], one["kind"]
        group = f"/apis/{version}" if "/" in version else f"/api/{version}"
        if group not in self._known:
            self._known[group] = self.api.get(group)["resources"]
        for resource in self._known[group]:
            if resource["kind"] == kind and "/" not in resource["name"]:
                space = one["metadata"].get("namespace") or self.namespace
                inside = f"/namespaces/{space}" if resource["namespaced"] else ""
                return f"{group}{inside}/{resource['name']}/{one['metadata']['name']}"
        raise KubernetesError(f"Kubernetes knows no {kind} of {version}", lasting=True)

    def read(self, one: Object) -> Object | None:
        try:
            return dict(self.api.get(self.place(one)))
        except NotThere:
            return None

    def apply(self, one: Object, manager: str, try_only: bool) -> Object:
        """The object with what is given, and with what others have set beside that."""
        options = {"fieldManager": manager, "force": "true", **({"dryRun": "All"} if try_only else {})}
        return dict(self.api.patch(self.place(one), one, APPLY, **options))


def declared(one: Object) -> Object:
    """An object without what Kubernetes adds and what becomes of it."""
    about = {key: value for key, value in one["metadata"].items() if key not in OWN}
    return {**{key: value for key, value in one.items() if key != "status"}, "metadata": about}


def difference(was: Any, becomes: Any, path: str = "") -> str:
    """Where the first difference is, as C(spec.replicas) or C(spec.containers[0].image); empty without one."""
    if was == becomes:
        return ""
    if isinstance(was, dict) and isinstance(becomes, dict):
        key = min(key for key in {*was, *becomes} if was.get(key) != becomes.get(key))
        return difference(was.get(key), becomes.get(key), f"{path}.{key}" if path else key)
    if isinstance(was, list) and isinstance(becomes, list) and len(was) == len(becomes):
        number = next(number for number, pair in enumerate(zip(was, becomes, strict=True)) if pair[0] != pair[1])
        return difference(was[number], becomes[number], f"{path}[{number}]")
    return path


def lacks(found: Any, given: Any, path: str = "") -> str:
    """Where an object has not what was given, to the letter: that 1000m is 1, only the API server knows."""
    if isinstance(given, dict) and isinstance(found, dict):
        wanted = {key: value for key, value in given.items() if value not in (None, {}, [])}
        told = (lacks(found.get(key), value, f"{path}.{key}" if path else key) for key, value in wanted.items())
    elif isinstance(given, list) and isinstance(found, list) and len(given) == len(found):
        told = (lacks(one, value, f"{path}[{number}]") for number, (one, value) in enumerate(zip(found, given)))
    else:
        return "" if found == given else path
    return next(filter(None, told), "")


def name_of(one: Object) -> str:
    return f"{one['kind']} {one['metadata']['name']}"
