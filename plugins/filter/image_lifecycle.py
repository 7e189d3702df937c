# Copyright: (c) 2026, Windward contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)

from __future__ import annotations

DOCUMENTATION = r"""
name: image_lifecycle
short_description: A life-cycle policy of ECR that never removes what is deployed, nor what was before
version_added: 0.1.0
author: Windward contributors (@windward)
description:
  - An image that a rule of ECR selects can't be removed by a rule that comes later. So what has to stay is selected
    first, each tag by a rule of its own that removes nothing.
positional: _input, wanted, keep
options:
  _input:
    description: The ReplicaSets of one component, as M(kubernetes.core.k8s_info) reads them.
    type: list
    elements: dict
    required: true
  wanted:
    description: The image that is about to be deployed.
    type: str
    required: true
  keep:
    description: How many tags stay besides.
    type: int
    required: true
"""

EXAMPLES = r"""
- name: Make the repository
  community.aws.ecs_ecr:
    name: airflow
    lifecycle_policy: "{{ replica_sets | windward.airflow.image_lifecycle(image, 30) }}"
"""

RETURN = r"""
_value:
  description: The policy.
  type: dict
"""

from typing import Any

NEVER = 9999  # images of one tag that there would have to be
PACKAGES_DAYS = 180


def history(replica_sets: list[dict[str, Any]]) -> list[str]:
    """The images that were deployed, the last one first. Kubernetes numbers each change, also one that goes back."""
    revision = "deployment.kubernetes.io/revision"
    ordered = sorted(replica_sets, key=lambda one: -int((one["metadata"].get("annotations") or {}).get(revision, 0)))
    images = [one["spec"]["template"]["spec"]["containers"][0]["image"] for one in ordered]
    return list(dict.fromkeys(images))


def image_lifecycle(replica_sets: list[dict[str, Any]], wanted: str, keep: int) -> dict[str, Any]:
    """What is wanted, what is deployed and what was before that stay, and so do the newest `keep`.

    What is wanted may yet be refused; when it is deployed, the policy is still the same.
    """
    repository = wanted.rpartition(":")[0]
    deployed = dict.fromkeys([wanted, *history(replica_sets)])
    tags = [one.rpartition(":")[2] for one in deployed if one.rpartition(":")[0] == repository][:3]
    selections: list[tuple[str, dict[str, Any]]] = [
        *(
            (f"{tag} is about to be deployed, is so, or was before", {
                "tagStatus": "tagged", "tagPrefixList": [tag], "countType": "imageCountMoreThan", "countNumber": NEVER,
            })
            for tag in tags
        ),
        (f"the newest {keep} images", {
            "tagStatus": "tagged", "tagPrefixList": ["2"], "countType": "imageCountMoreThan", "countNumber": keep,
        }),
        ("what images were built on", {
            "tagStatus": "tagged", "tagPrefixList": ["packages-"], "countType": "sinceImagePushed", "countUnit": "days",
            "countNumber": PACKAGES_DAYS,
        }),
        ("what has no tag", {
            "tagStatus": "untagged", "countType": "sinceImagePushed", "countUnit": "days", "countNumber": 1,
        }),
    ]  # fmt: skip
    return {
        "rules": [
            {"rulePriority": number, "description": text, "selection": selection, "action": {"type": "expire"}}
            for number, (text, selection) in enumerate(selections, 1)
        ]
    }


class FilterModule:
    """Filters of role image."""

    def filters(self) -> dict[str, Any]:
        return {"image_lifecycle": image_lifecycle}
