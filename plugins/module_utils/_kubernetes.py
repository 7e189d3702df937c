# Copyright: (c) 2026, Windward contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Private to the collection. What modules of a cluster have in common, and the Secrets of a namespace.

kubernetes.core shows what it is given, with -vvv and in a diff; a Secret must not be.
"""

from __future__ import annotations

import base64
from typing import Any

from ansible.module_utils.basic import AnsibleModule, env_fallback

from ._kubernetes_api import Api, NotThere

OPTIONS = {
    "kubeconfig": {"type": "path", "fallback": (env_fallback, ["K8S_AUTH_KUBECONFIG", "KUBECONFIG"])},
    "context": {"type": "str", "fallback": (env_fallback, ["K8S_AUTH_CONTEXT"])},
    "namespace": {"type": "str", "required": True},
}


def cluster(module: AnsibleModule) -> Api:
    """The cluster that the module's options name."""
    return Api(module.params["kubeconfig"], module.params["context"])


def selector(labels: dict[str, str]) -> str:
    return ",".join(f"{key}={value}" for key, value in labels.items())


class Secrets:
    """The Secrets of one namespace, with their content as text."""

    def __init__(self, module: AnsibleModule) -> None:
        self.api, self.namespace = cluster(module), module.params["namespace"]
        self.place = f"/api/v1/namespaces/{self.namespace}/secrets"

    def read(self, name: str) -> tuple[dict[str, str] | None, str]:
        """Content and version of a Secret; None where there is none."""
        try:
            found = self.api.get(f"{self.place}/{name}")
        except NotThere:
            return None, ""
        return text(found), found["metadata"]["resourceVersion"]

    def named(self, labels: dict[str, str]) -> dict[str, dict[str, str]]:
        """Every Secret with these labels."""
        found = self.api.items(self.place, labelSelector=selector(labels))
        return {one["metadata"]["name"]: text(one) for one in found}

    def write(
        self, name: str, content: dict[str, str], labels: dict[str, str], exists: bool, version: str = ""
    ) -> None:
        """Makes it, or replaces it; with `version` only while nobody else has."""
        about: dict[str, Any] = {"name": name, "namespace": self.namespace, "labels": labels}
        if version:
            about["resourceVersion"] = version
        body = {"metadata": about, "type": "Opaque", "stringData": content}
        if exists:
            self.api.put(f"{self.place}/{name}", body)
        else:
            self.api.post(self.place, body)

    def delete(self, name: str) -> None:
        self.api.delete(f"{self.place}/{name}")


def text(secret: dict[str, Any]) -> dict[str, str]:
    """What is no text can't be a value of ours."""
    held = {key: base64.b64decode(value) for key, value in (secret.get("data") or {}).items()}
    return {key: value.decode(errors="replace") for key, value in held.items()}
