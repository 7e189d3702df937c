# Copyright: (c) 2026, Windward contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Private to the collection. Where an object of any kind is in the Kubernetes API, which the cluster itself tells."""

from __future__ import annotations

from typing import Any

from ._kubernetes_api import Api, KubernetesError, NotThere

Object = dict[str, Any]


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


def name_of(one: Object) -> str:
    return f"{one['kind']} {one['metadata']['name']}"
