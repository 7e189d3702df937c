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
  purpose:
    description: What the rights are needed for. To V(remove) a deployment the rest need not be right.
    type: str
    choices: [deploy, remove]
    default: deploy
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
    - The kubeconfig's C(context) that was used, the C(version) of Kubernetes, the phase of the C(namespace), whether it
      is C(ours), and the level of C(pod_security) that it enforces, C(denied) rights, phase and denied rights of each
      namespace C(elsewhere), C(storage_classes) unless the user may not see them, the number of C(nodes) that take
      pods, sizes of the C(claims) that are there, classes and access modes of these C(volumes), what of these names is
      C(helms) to remove, C(images) of the StatefulSets among them, C(quotas) with what is used of them, and why pods
      would be C(refused).
  type: dict
  returned: success
  sample: {}
"""

import os
from typing import Any

from ansible.module_utils.basic import AnsibleModule

from ..module_utils._kubernetes import OPTIONS, cluster
from ..module_utils._kubernetes_api import Api, KubernetesError, NotThere

MANAGER = "windward.airflow"
LEVEL = "pod-security.kubernetes.io/enforce"
# With these in the environment kubernetes.core or helm asks another cluster than the kubeconfig's, or as somebody else.
ELSEWHERE = (
    "K8S_AUTH_HOST", "K8S_AUTH_API_KEY", "K8S_AUTH_USERNAME", "K8S_AUTH_PASSWORD", "K8S_AUTH_CERT_FILE",
    "K8S_AUTH_KEY_FILE", "K8S_AUTH_IMPERSONATE_USER", "K8S_AUTH_IMPERSONATE_GROUPS", "HELM_KUBEAPISERVER",
    "HELM_KUBECONTEXT", "HELM_KUBETOKEN", "HELM_KUBEASUSER", "HELM_KUBEASGROUPS", "HELM_DRIVER",
)  # fmt: skip
KEPT = "helm.sh/resource-policy"
DEFAULT_CLASS = "storageclass.kubernetes.io/is-default-class"


def denied(api: Api, namespace: str, rights: dict[str, list[str]]) -> dict[str, list[str]]:
    """What the user may not, by resource; each verb is asked for by itself."""
    found: dict[str, list[str]] = {}
    for resource, verbs in rights.items():
        name, _dot, group = resource.partition(".")
        kind, _slash, part = name.partition("/")
        for verb in verbs:
            if not api.may(namespace=namespace, verb=verb, resource=kind, group=group, subresource=part):
                found.setdefault(resource, []).append(verb)
    return found


def phase_of(api: Api, namespace: str) -> tuple[str, dict[str, str]]:
    """The phase of a namespace, empty where there is none, and its labels."""
    try:
        space = api.get(f"/api/v1/namespaces/{namespace}")
    except NotThere:
        return "", {}
    except KubernetesError:
        return "unknown", {}
    return space["status"]["phase"], space["metadata"].get("labels") or {}


def allowed(api: Api, path: str) -> list[dict[str, Any]] | None:
    """A list of the whole cluster; None for a user of one namespace, who may not see it."""
    try:
        return api.items(path)
    except KubernetesError:
        return None


def refused(api: Api, namespace: str, pods: list[dict[str, Any]]) -> list[str]:
    """Why pods would not be taken, by Pod Security, a quota, a range of limits, or a webhook."""
    found = set()
    for pod in pods:
        try:
            api.post(f"/api/v1/namespaces/{namespace}/pods", pod, dryRun="All")
        except KubernetesError as error:
            found.add(str(error))
    return sorted(found)


def name_of(one: dict[str, Any]) -> str:
    return str(one["metadata"]["name"])


def annotation(one: dict[str, Any], key: str) -> str | None:
    return (one["metadata"].get("annotations") or {}).get(key)


def helms(kind: str, objects: list[dict[str, Any]], names: list[str]) -> list[str]:
    """Those that are part of a release of helm's, which removes them as soon as they are in none."""
    return [
        f"{kind} {name_of(one)}"
        for one in objects
        if name_of(one) in names
        and (one["metadata"].get("labels") or {}).get("app.kubernetes.io/managed-by") == "Helm"
        and annotation(one, KEPT) != "keep"
    ]


def room(quotas: list[dict[str, Any]]) -> dict[str, Any]:
    """What quotas allow and what is used of it, but for those of some pods only: the trial tells of ours."""
    return {
        name_of(one): {key: (one.get("status") or {}).get(key) or {} for key in ("hard", "used")}
        for one in quotas
        if not {"scopes", "scopeSelector"} & one["spec"].keys()
    }


def takes_pods(node: dict[str, Any]) -> bool:
    effects = {taint["effect"] for taint in node["spec"].get("taints") or ()}
    return not node["spec"].get("unschedulable") and not effects & {"NoSchedule", "NoExecute"}


def look(module: AnsibleModule) -> dict[str, Any]:
    if given := [name for name in ELSEWHERE if os.environ.get(name)]:
        told = f"{', '.join(given)} in the environment leads kubernetes.core or helm past the kubeconfig"
        raise KubernetesError(f"{told}: unset it, and give a kubeconfig")
    namespace, names = module.params["namespace"], module.params["names"]
    api = cluster(module)
    version = api.get("/version")["gitVersion"]
    phase, labels = phase_of(api, namespace)
    rights = dict(module.params["rights"])
    ours, removes = labels.get("app.kubernetes.io/managed-by") == MANAGER, module.params["purpose"] == "remove"
    if removes and ours:
        rights["namespaces"] = ["delete", "get"]
    elif not phase and not removes:
        rights["namespaces"] = ["create", "get"]
    forbidden = denied(api, namespace, rights)
    inside = f"/api/v1/namespaces/{namespace}"
    # None of them is what makes a deployment a new one, so an answer that did not come must not be taken for none.
    listed = phase and "list" not in forbidden.get("persistentvolumeclaims", ())
    claims = api.items(f"{inside}/persistentvolumeclaims") if listed else []
    quotas = allowed(api, f"{inside}/resourcequotas") or [] if phase else []
    sets = allowed(api, f"/apis/apps/v1/namespaces/{namespace}/statefulsets") or [] if phase else []
    classes = allowed(api, "/apis/storage.k8s.io/v1/storageclasses")
    asked = phase == "Active" and "pods" not in forbidden
    return {
        "context": api.way.context,
        "version": version.removeprefix("v"),
        "namespace": phase,
        "ours": ours,
        "pod_security": labels.get(LEVEL, ""),
        "denied": forbidden,
        "elsewhere": {
            name: {"namespace": phase_of(api, name)[0], "denied": denied(api, name, wanted)}
            for name, wanted in module.params["elsewhere"].items()
        },
        "refused": refused(api, namespace, module.params["pods"]) if asked else [],
        "storage_classes": None
        if classes is None
        else {name_of(one): annotation(one, DEFAULT_CLASS) == "true" for one in classes},
        "nodes": len([one for one in allowed(api, "/api/v1/nodes") or () if takes_pods(one)]),
        "claims": {name_of(one): one["spec"]["resources"]["requests"]["storage"] for one in claims},
        "volumes": {
            name_of(one): {"class": one["spec"].get("storageClassName", ""), "modes": one["spec"]["accessModes"]}
            for one in claims
        },
        "helms": [
            one
            for kind, objects in (("PersistentVolumeClaim", claims), ("StatefulSet", sets))
            for one in helms(kind, objects, names)
        ],
        "images": {
            name_of(one): one["spec"]["template"]["spec"]["containers"][0]["image"]
            for one in sets
            if name_of(one) in names
        },
        "quotas": room(quotas),
    }


def main() -> None:
    module = AnsibleModule(
        argument_spec={
            **OPTIONS,
            "purpose": {"type": "str", "choices": ["deploy", "remove"], "default": "deploy"},
            "rights": {"type": "dict", "default": {}},
            "elsewhere": {"type": "dict", "default": {}},
            "pods": {"type": "list", "elements": "dict", "default": []},
            "names": {"type": "list", "elements": "str", "default": []},
        },
        supports_check_mode=True,
    )
    try:
        found = look(module)
    except KubernetesError as error:
        module.fail_json(msg=f"The cluster can't be looked at: {error}")
    module.exit_json(changed=False, found=found)


if __name__ == "__main__":
    main()
