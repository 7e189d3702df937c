# Copyright: (c) 2026, Windward contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Private to the collection. Secrets of Kubernetes; everything else of a cluster is asked by kubernetes.core.

Those modules show what they are given, with -vvv and in a diff; a Secret must not be.
"""

from __future__ import annotations

import base64
import json
import traceback
from typing import Any

from ansible.module_utils.basic import AnsibleModule, env_fallback, missing_required_lib

try:
    import yaml
    from kubernetes import client, config
    from kubernetes.client.exceptions import ApiException
    from urllib3.exceptions import HTTPError

    MISSING = ""
except ImportError:
    MISSING = traceback.format_exc()

from ._pods import no_way

OPTIONS = {
    "kubeconfig": {"type": "path", "fallback": (env_fallback, ["K8S_AUTH_KUBECONFIG", "KUBECONFIG"])},
    "context": {"type": "str", "fallback": (env_fallback, ["K8S_AUTH_CONTEXT"])},
    "namespace": {"type": "str", "required": True},
}


class ClusterError(Exception):
    """One sentence for the user."""


class NotThere(ClusterError):
    """There is no such object."""


def apis(module: AnsibleModule, *names: str) -> list[Any]:
    """Parts of the cluster's API, by the names of the Python client's classes."""
    if MISSING:
        module.fail_json(msg=missing_required_lib("kubernetes"), exception=MISSING)
    path = module.params["kubeconfig"]
    try:
        way = config.new_client_from_config(path, module.params["context"])
    except config.ConfigException as error:
        raise ClusterError(no_way(path, str(error))) from error
    except (yaml.YAMLError, AttributeError, KeyError, TypeError, ValueError) as error:
        raise ClusterError(no_way(path)) from error
    return [getattr(client, name)(way) for name in names]


def ask(call: Any, *arguments: Any, **options: Any) -> Any:
    """One request, or a ClusterError with Kubernetes' own sentence; NotThere for an object that is not there."""
    try:
        return call(*arguments, **options, _request_timeout=30)
    except ApiException as error:
        if error.status == 404:
            raise NotThere(said(error)) from error
        raise ClusterError(f"Kubernetes refuses: {said(error)}") from error
    except HTTPError as error:
        raise ClusterError(f"Kubernetes can't be reached: {error}") from error


class Secrets:
    """The Secrets of one namespace, with their content as text."""

    def __init__(self, module: AnsibleModule) -> None:
        self.namespace = module.params["namespace"]
        (self.api,) = apis(module, "CoreV1Api")

    def read(self, name: str) -> tuple[dict[str, str] | None, str]:
        """Content and version of a Secret; None where there is none."""
        try:
            found = ask(self.api.read_namespaced_secret, name, self.namespace)
        except NotThere:
            return None, ""
        return text(found), found.metadata.resource_version

    def named(self, labels: dict[str, str]) -> dict[str, dict[str, str]]:
        """Every Secret with these labels."""
        selector = ",".join(f"{key}={value}" for key, value in labels.items())
        found = ask(self.api.list_namespaced_secret, self.namespace, label_selector=selector)
        return {one.metadata.name: text(one) for one in found.items}

    def write(
        self, name: str, content: dict[str, str], labels: dict[str, str], exists: bool, version: str = ""
    ) -> None:
        """Makes it, or replaces it; with `version` only while nobody else has."""
        about: dict[str, Any] = {"name": name, "namespace": self.namespace, "labels": labels}
        if version:
            about["resourceVersion"] = version
        body = {"metadata": about, "type": "Opaque", "stringData": content}
        if exists:
            ask(self.api.replace_namespaced_secret, name, self.namespace, body)
        else:
            ask(self.api.create_namespaced_secret, self.namespace, body)

    def delete(self, name: str) -> None:
        ask(self.api.delete_namespaced_secret, name, self.namespace)


def text(secret: Any) -> dict[str, str]:
    return {key: base64.b64decode(value).decode() for key, value in (secret.data or {}).items()}


def said(error: Any) -> str:
    """Kubernetes' own sentence, which holds no content of a Secret."""
    try:
        return str(json.loads(error.body)["message"])
    except (TypeError, ValueError, KeyError):
        return f"HTTP {error.status} {error.reason}"
