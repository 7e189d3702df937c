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

import time
from typing import Any

from ansible.module_utils.basic import AnsibleModule

from ..module_utils._kubernetes import OPTIONS, ClusterError, NotThere, apis, ask

# Why a container does not start, and never will by waiting.
HOPELESS = ("ErrImagePull", "ImagePullBackOff", "ErrImageNeverPull", "InvalidImageName", "CreateContainerConfigError")


class Job:
    def __init__(self, module: AnsibleModule) -> None:
        self.batch, self.core = apis(module, "BatchV1Api", "CoreV1Api")
        self.namespace, self.definition = module.params["namespace"], module.params["definition"]
        self.name = self.definition["metadata"]["name"]

    def read(self, name: str = "") -> Any:
        try:
            return ask(self.batch.read_namespaced_job, name or self.name, self.namespace)
        except NotThere:
            return None

    def remove(self, name: str) -> None:
        """With its pods, until it is gone."""
        ask(self.batch.delete_namespaced_job, name, self.namespace, propagation_policy="Foreground")
        while self.read(name):
            time.sleep(0.2)

    def make(self) -> None:
        ask(self.batch.create_namespaced_job, self.namespace, self.definition)

    def pods(self) -> list[Any]:
        selector = f"batch.kubernetes.io/job-name={self.name}"
        return list(ask(self.core.list_namespaced_pod, self.namespace, label_selector=selector).items)

    def hopeless(self) -> str:
        """What keeps its pod from starting, if waiting does not help."""
        for pod in self.pods():
            for status in pod.status.container_statuses or ():
                waiting = status.state.waiting
                if waiting and waiting.reason in HOPELESS and waiting.message:
                    return f"{waiting.reason}: {waiting.message}"
        return ""

    def refused(self, uid: str) -> str:
        """What Kubernetes says of a Job that gets no pod, as with a quota or a Pod Security Standard.

        Of this one, that is: what was said of a former one of its name is kept for an hour.
        """
        told = ask(self.core.list_namespaced_event, self.namespace, field_selector=f"involvedObject.uid={uid}")
        return "; ".join(sorted({one.message for one in told.items if one.reason == "FailedCreate"}))

    def log(self) -> str:
        lines = []
        for pod in self.pods():
            lines.append(ask(self.core.read_namespaced_pod_log, pod.metadata.name, self.namespace, tail_lines=40))
        return "\n".join(lines)

    def answer(self) -> str:
        ends = (one.state.terminated for pod in self.pods() for one in pod.status.container_statuses or ())
        return next((end.message for end in ends if end and not end.exit_code and end.message), "")

    def others(self) -> list[str]:
        selector = ",".join(f"{key}={value}" for key, value in self.definition["metadata"].get("labels", {}).items())
        found = ask(self.batch.list_namespaced_job, self.namespace, label_selector=selector).items if selector else []
        return [one.metadata.name for one in found if one.metadata.name != self.name]

    def run(self, timeout: int) -> None:
        deadline = time.monotonic() + timeout
        while True:
            found = self.read()
            status = found.status if found else None
            if status and status.succeeded:
                return
            if status and status.failed:
                raise ClusterError(f"it failed:\n{self.log()}")
            if reason := self.hopeless() or ("" if self.pods() or not found else self.refused(found.metadata.uid)):
                self.remove(self.name)  # it never ran, and would go on trying
                raise ClusterError(f"its pod can't start: {reason}")
            if time.monotonic() > deadline:
                raise ClusterError(f"it took longer than {timeout} s:\n{self.log() or 'it has no log'}")
            time.sleep(0.5)


def main() -> None:
    module = AnsibleModule(
        argument_spec={
            **OPTIONS,
            "definition": {"type": "dict", "required": True},
            "timeout": {"type": "int", "default": 3600},
        },
        supports_check_mode=True,
    )
    name = module.params["definition"]["metadata"]["name"]
    try:
        job = Job(module)
        found = job.read()
        done = bool(found and found.status.succeeded)
        if not done and not module.check_mode:
            if found and (found.status.failed or job.hopeless()):
                job.remove(name)
                found = None
            if not found:
                job.make()
            job.run(module.params["timeout"])
            for other in job.others():
                job.remove(other)
        answer = job.answer() if done or not module.check_mode else ""
    except ClusterError as error:
        module.fail_json(msg=f"Job {name} of namespace {module.params['namespace']}: {error}")
    module.exit_json(changed=not done, name=name, done=done, answer=answer)


if __name__ == "__main__":
    main()
