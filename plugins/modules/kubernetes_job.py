#!/usr/bin/python
# Copyright: (c) 2026, Windward contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)

from __future__ import annotations

DOCUMENTATION = r"""
module: kubernetes_job
short_description: Run a Job of Kubernetes to its end
version_added: 0.1.0
author: Windward contributors (@windward)
description:
  - Makes a Job and waits for it. One of that name that has succeeded is left as it is, one that still runs is waited
    for, one that has failed is made anew.
  - When it fails the module fails with the last lines of its log, or with what Kubernetes says of a pod that can't
    start, such as the registry's message about an image that can't be pulled. One that can't start is removed again.
  - Other Jobs with all of its labels are removed when it has succeeded, so that a Job whose name says what it did
    replaces the former.
extends_documentation_fragment:
  - windward.airflow.cluster
options:
  definition:
    description: The Job. It has a name, labels and a pod that is not restarted.
    type: dict
    required: true
  timeout:
    description: Seconds that it may take.
    type: int
    default: 3600
  schedule_timeout:
    description: Seconds until a node must have been found for its pod. A cluster may have to make one.
    type: int
    default: 600
attributes:
  check_mode:
    support: full
    description: Tells whether it would run.
  diff_mode:
    support: none
    description: The Job's name is the difference.
"""

EXAMPLES = r"""
- name: Migrate
  windward.airflow.kubernetes_job:
    namespace: airflow
    definition:
      apiVersion: batch/v1
      kind: Job
      metadata: {name: migrate-1, labels: {example.org/kind: migration}}
      spec:
        backoffLimit: 0
        template:
          spec:
            restartPolicy: Never
            containers:
              - {name: migrate, image: "apache/airflow:3.3.2", args: [db, migrate]}
"""

RETURN = r"""
name:
  description: Its name.
  type: str
  returned: success
  sample: migrate-1
done:
  description: Whether it had succeeded before.
  type: bool
  returned: success
  sample: true
answer:
  description: What its pod wrote to its termination message; empty when that pod is gone.
  type: str
  returned: success
  sample: '{"heads": []}'
"""

import contextlib
import time
from typing import Any

from ansible.module_utils.basic import AnsibleModule

from ..module_utils._kubernetes import OPTIONS, cluster, selector
from ..module_utils._kubernetes_api import KubernetesError, NotThere

REMOVAL = 300  # seconds: a pod is given 30, and nodes may be busy
# Why a container does not start, and never will by waiting.
HOPELESS = ("ErrImagePull", "ImagePullBackOff", "ErrImageNeverPull", "InvalidImageName", "CreateContainerConfigError")


class Job:
    def __init__(self, module: AnsibleModule) -> None:
        self.api, self.definition = cluster(module), module.params["definition"]
        self.name, namespace = self.definition["metadata"]["name"], module.params["namespace"]
        self.core = f"/api/v1/namespaces/{namespace}"
        self.jobs = f"/apis/batch/v1/namespaces/{namespace}/jobs"

    def read(self, name: str = "") -> dict[str, Any] | None:
        try:
            return dict(self.api.get(f"{self.jobs}/{name or self.name}"))
        except NotThere:
            return None

    def remove(self, name: str) -> None:
        """With its pods, until it is gone."""
        with contextlib.suppress(NotThere):
            self.api.delete(f"{self.jobs}/{name}", propagationPolicy="Foreground")
        deadline = time.monotonic() + REMOVAL
        while self.read(name):
            if time.monotonic() > deadline:
                raise KubernetesError(f"{name} was removed, but its pods do not go, as on a node that is lost")
            time.sleep(0.2)

    def make(self) -> None:
        self.api.post(self.jobs, self.definition)

    def pods(self) -> list[dict[str, Any]]:
        return self.api.items(f"{self.core}/pods", labelSelector=f"batch.kubernetes.io/job-name={self.name}")

    def states(self) -> list[dict[str, Any]]:
        """Of each container of its pods."""
        pods = (pod.get("status") or {} for pod in self.pods())
        return [one.get("state") or {} for status in pods for one in status.get("containerStatuses") or ()]

    def hopeless(self) -> str:
        """What keeps its pod from starting, if waiting does not help."""
        for state in self.states():
            waiting = state.get("waiting") or {}
            if waiting.get("reason") in HOPELESS and waiting.get("message"):
                return f"{waiting['reason']}: {waiting['message']}"
        return ""

    def homeless(self) -> str:
        """Why no node takes its pod."""
        told = [one for pod in self.pods() for one in (pod.get("status") or {}).get("conditions") or ()]
        unscheduled = [one for one in told if one["type"] == "PodScheduled" and one["status"] == "False"]
        return next((str(one.get("message") or one.get("reason")) for one in unscheduled), "")

    def refused(self, uid: str) -> str:
        """What Kubernetes says of a Job that gets no pod, as with a quota or a Pod Security Standard.

        Of this one, that is: what was said of a former one of its name is kept for an hour.
        """
        told = self.api.items(f"{self.core}/events", fieldSelector=f"involvedObject.uid={uid}")
        return "; ".join(sorted({one["message"] for one in told if one.get("reason") == "FailedCreate"}))

    def log(self) -> str:
        names = [pod["metadata"]["name"] for pod in self.pods()]
        return "\n".join(self.api.text(f"{self.core}/pods/{name}/log", tailLines=40) for name in names)

    def answer(self) -> str:
        ends = (state.get("terminated") or {} for state in self.states())
        return next((str(end["message"]) for end in ends if end.get("exitCode") == 0 and end.get("message")), "")

    def others(self) -> list[str]:
        labels = self.definition["metadata"].get("labels")
        found = self.api.items(self.jobs, labelSelector=selector(labels)) if labels else []
        return [one["metadata"]["name"] for one in found if one["metadata"]["name"] != self.name]

    def run(self, timeout: int, schedule_timeout: int) -> None:
        begun = time.monotonic()
        while True:
            found = self.read()
            status = ended(found)
            if status == "succeeded":
                return
            if status == "failed":
                raise KubernetesError(f"it failed:\n{self.log()}")
            alone = found and not self.pods()
            reason = self.hopeless() or (self.refused(found["metadata"]["uid"]) if found and alone else "")
            if not reason and time.monotonic() > begun + schedule_timeout:
                reason = self.homeless()
            if reason:
                self.remove(self.name)  # it never ran, and would go on trying
                raise KubernetesError(f"its pod can't start: {reason}")
            if time.monotonic() > begun + timeout:
                raise KubernetesError(f"it took longer than {timeout} s:\n{self.log() or 'it has no log'}")
            time.sleep(0.5)


def ended(job: dict[str, Any] | None) -> str:
    """How a Job ended, if it has."""
    status = (job or {}).get("status") or {}
    return next((how for how in ("succeeded", "failed") if status.get(how)), "")


def main() -> None:
    module = AnsibleModule(
        argument_spec={
            **OPTIONS,
            "definition": {"type": "dict", "required": True},
            "timeout": {"type": "int", "default": 3600},
            "schedule_timeout": {"type": "int", "default": 600},
        },
        supports_check_mode=True,
    )
    name = module.params["definition"]["metadata"]["name"]
    try:
        job = Job(module)
        found = job.read()
        done = ended(found) == "succeeded"
        if not done and not module.check_mode:
            if found and (ended(found) == "failed" or job.hopeless()):
                job.remove(name)
                found = None
            if not found:
                job.make()
            job.run(module.params["timeout"], module.params["schedule_timeout"])
            for other in job.others():
                job.remove(other)
        answer = job.answer() if done or not module.check_mode else ""
    except KubernetesError as error:
        module.fail_json(msg=f"Job {name} of namespace {module.params['namespace']}: {error}")
    module.exit_json(changed=not done, name=name, done=done, answer=answer)


if __name__ == "__main__":
    main()
