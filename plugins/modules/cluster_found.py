#!/usr/bin/python
# Copyright: (c) 2026, Windward contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)

from __future__ import annotations

DOCUMENTATION = r"""
module: cluster_found
short_description: What preflight needs to know of a Kubernetes cluster
version_added: 0.1.0
author: Windward contributors (@windward)
description:
  - Reads a cluster and one namespace of it, and changes nothing. The action of the same name then judges what was found
    by the rules of step 2b.
extends_documentation_fragment:
  - windward.airflow.cluster
options:
  rights:
    description: "What the user must be allowed to, C({resource.group: [verb, ...]}), in that namespace."
    type: dict
    default: {}
  elsewhere:
    description: "Such rights in other namespaces, C({namespace: {resource.group: [verb, ...]}})."
    type: dict
    default: {}
  pods:
    description: Pods such as those to come. The namespace is asked whether it takes them; none is made.
    type: list
    elements: dict
    default: []
  names:
    description: Names of volumes and StatefulSets to come, which another release may have.
    type: list
    elements: str
    default: []
attributes:
  check_mode:
    support: full
    description: The same, since nothing is changed.
  diff_mode:
    support: none
    description: Nothing is changed.
"""

EXAMPLES = r"""
- name: Look
  windward.airflow.cluster_found:
    namespace: airflow
    rights: {pods: [create, get], deployments.apps: [create]}
"""

RETURN = r"""
found:
  description:
    - C(version) of Kubernetes, the phase of the C(namespace) and the level of C(pod_security) that it enforces,
      C(denied) rights, phase and denied rights of each namespace C(elsewhere), C(storage_classes), the number of
      C(nodes) that take pods, sizes of the C(claims) that are there, what of these names is C(helms) to remove,
      C(images) of the StatefulSets among them, C(quotas) with what is used of them, and why pods would be C(refused).
  type: dict
  returned: success
  sample: {}
"""

import os
from typing import Any

from ansible.module_utils.basic import AnsibleModule

from ..module_utils._kubernetes import OPTIONS, ClusterError, NotThere, apis, ask

LEVEL = "pod-security.kubernetes.io/enforce"
# With these in the environment kubernetes.core asks another cluster than the kubeconfig's.
ELSEWHERE = ("K8S_AUTH_HOST", "K8S_AUTH_API_KEY", "K8S_AUTH_USERNAME", "K8S_AUTH_PASSWORD")
KEPT = "helm.sh/resource-policy"
DEFAULT_CLASS = "storageclass.kubernetes.io/is-default-class"


def denied(api: Any, namespace: str, rights: dict[str, list[str]]) -> dict[str, list[str]]:
    """What the user may not, by resource; each verb is asked for by itself."""
    found: dict[str, list[str]] = {}
    for resource, verbs in rights.items():
        name, _dot, group = resource.partition(".")
        kind, _slash, part = name.partition("/")
        for verb in verbs:
            about = {"namespace": namespace, "verb": verb, "resource": kind, "group": group, "subresource": part}
            review = {"spec": {"resourceAttributes": about}}
            if not ask(api.create_self_subject_access_review, review).status.allowed:
                found.setdefault(resource, []).append(verb)
    return found


def phase_of(core: Any, namespace: str) -> tuple[str, str]:
    """The phase of a namespace, empty where there is none, and its level of Pod Security."""
    try:
        space = ask(core.read_namespace, namespace)
    except NotThere:
        return "", ""
    except ClusterError:
        return "unknown", ""
    return space.status.phase, (space.metadata.labels or {}).get(LEVEL, "")


def allowed(call: Any, *arguments: Any) -> list[Any]:
    """A list of the whole cluster, which a user of one namespace may not see."""
    try:
        return list(ask(call, *arguments).items)
    except ClusterError:
        return []


def refused(core: Any, namespace: str, pods: list[dict[str, Any]]) -> list[str]:
    """Why pods would not be taken, by Pod Security, a quota, a range of limits, or a webhook."""
    found = set()
    for pod in pods:
        try:
            ask(core.create_namespaced_pod, namespace, pod, dry_run="All")
        except ClusterError as error:
            found.add(str(error))
    return sorted(found)


def helms(kind: str, objects: list[Any], names: list[str]) -> list[str]:
    """Those that are part of a release of helm's, which removes them as soon as they are in none."""
    return [
        f"{kind} {one.metadata.name}"
        for one in objects
        if one.metadata.name in names
        and (one.metadata.labels or {}).get("app.kubernetes.io/managed-by") == "Helm"
        and (one.metadata.annotations or {}).get(KEPT) != "keep"
    ]


def look(module: AnsibleModule) -> dict[str, Any]:
    if given := [name for name in ELSEWHERE if os.environ.get(name)]:
        told = f"{', '.join(given)} in the environment leads kubernetes.core past the kubeconfig"
        raise ClusterError(f"{told}: unset it, and give a kubeconfig")
    namespace = module.params["namespace"]
    names = ("CoreV1Api", "AppsV1Api", "StorageV1Api", "AuthorizationV1Api", "VersionApi")
    core, apps, storage, authorization, versions = apis(module, *names)
    version = ask(versions.get_code).git_version
    phase, level = phase_of(core, namespace)
    rights = dict(module.params["rights"])
    if not phase:
        rights["namespaces"] = ["create", "get"]
    classes = {one.metadata.name: one for one in allowed(storage.list_storage_class)}
    nodes = [
        one
        for one in allowed(core.list_node)
        if not one.spec.unschedulable
        and not any(taint.effect in ("NoSchedule", "NoExecute") for taint in one.spec.taints or ())
    ]
    forbidden = denied(authorization, namespace, rights)
    # None of them is what makes a deployment a new one, so an answer that did not come must not be taken for none.
    listed = phase and "list" not in forbidden.get("persistentvolumeclaims", ())
    claims = ask(core.list_namespaced_persistent_volume_claim, namespace).items if listed else []
    quotas = allowed(core.list_namespaced_resource_quota, namespace) if phase else []
    sets = allowed(apps.list_namespaced_stateful_set, namespace) if phase else []
    asked = phase == "Active" and "pods" not in forbidden
    return {
        "version": version.removeprefix("v"),
        "namespace": phase,
        "pod_security": level,
        "denied": forbidden,
        "elsewhere": {
            name: {"namespace": phase_of(core, name)[0], "denied": denied(authorization, name, wanted)}
            for name, wanted in module.params["elsewhere"].items()
        },
        "refused": refused(core, namespace, module.params["pods"]) if asked else [],
        "storage_classes": {
            name: (one.metadata.annotations or {}).get(DEFAULT_CLASS) == "true" for name, one in classes.items()
        },
        "nodes": len(nodes),
        "claims": {one.metadata.name: one.spec.resources.requests["storage"] for one in claims},
        "helms": [
            one
            for kind, objects in (("PersistentVolumeClaim", claims), ("StatefulSet", sets))
            for one in helms(kind, objects, module.params["names"])
        ],
        "images": {
            one.metadata.name: one.spec.template.spec.containers[0].image
            for one in sets
            if one.metadata.name in module.params["names"]
        },
        "quotas": {one.metadata.name: {"hard": one.status.hard or {}, "used": one.status.used or {}} for one in quotas},
    }


def main() -> None:
    module = AnsibleModule(
        argument_spec={
            **OPTIONS,
            "rights": {"type": "dict", "default": {}},
            "elsewhere": {"type": "dict", "default": {}},
            "pods": {"type": "list", "elements": "dict", "default": []},
            "names": {"type": "list", "elements": "str", "default": []},
        },
        supports_check_mode=True,
    )
    try:
        found = look(module)
    except ClusterError as error:
        module.fail_json(msg=f"The cluster can't be looked at: {error}")
    module.exit_json(changed=False, found=found)


if __name__ == "__main__":
    main()
