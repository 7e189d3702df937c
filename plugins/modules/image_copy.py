#!/usr/bin/python
# Copyright: (c) 2026, Windward contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)

from __future__ import annotations

DOCUMENTATION = r"""
module: image_copy
short_description: Copy an image from a Docker engine to its registry, or back
version_added: 0.1.0
author: Windward contributors (@windward)
description:
  - Asks the Docker engine of this computer to push an image or to pull it. The engine gets the log-in with the request
    and keeps it nowhere. Other modules take it from a file of the user's, in which it must have been written before.
  - The log-in at ECR is done on the controller, which alone needs boto3 and AWS credentials.
  - A tag that the registry has is not pushed again, and an image that the engine has is not pulled again.
  - The engine has its own ideas of certificates and of plain http, whatever O(ca_path) and O(registry_url) say. These
    are for the question whether the registry has the tag.
extends_documentation_fragment:
  - windward.airflow.registry
options:
  to:
    description: Where to.
    type: str
    choices: [registry, engine]
    required: true
  same:
    description:
      - Whether a tag that the registry has must be that of the engine's own image. V(true) refuses another one's, and
        V(false) takes it as it is.
      - Only for V(to=registry).
    type: bool
    default: false
  platform:
    description:
      - Platform of which the engine has to have the image, such as V(linux/arm64). Unset means whichever it has.
      - Only for V(to=engine).
    type: str
  docker_host:
    description: Socket of the Docker engine. Unset means E(DOCKER_HOST), else V(unix:///var/run/docker.sock).
    type: str
  engine_timeout:
    description: Seconds that the engine may say nothing.
    type: float
    default: 600
requirements:
  - boto3 (on the controller, for ECR)
attributes:
  check_mode:
    support: full
    description: Tells whether there is something to copy.
  diff_mode:
    support: none
    description: It is there or it is not.
seealso:
  - module: windward.airflow.image_info
  - module: windward.airflow.ecr_image
"""

EXAMPLES = r"""
- name: Push an image to ECR
  windward.airflow.image_copy:
    image: 123456789012.dkr.ecr.eu-central-1.amazonaws.com/airflow:20261122080000
    to: registry

- name: Have an image in the engine
  windward.airflow.image_copy:
    image: registry.example.org/team/airflow:1.4
    to: engine
    registry_username: reader
    registry_password: "{{ vault_registry_password }}"
"""

RETURN = r"""
image:
  description: The image as Kubernetes writes it out.
  type: str
  returned: success
  sample: 123456789012.dkr.ecr.eu-central-1.amazonaws.com/airflow:20261122080000
"""

import os
from typing import Any

from ansible.module_utils.basic import AnsibleModule

from ..module_utils import _registry_options
from ..module_utils._docker import Docker
from ..module_utils._image import Reference, normal, parse, parsed
from ..module_utils._registry import ImageError, Registry


def known(registry: Registry, reference: Reference) -> set[str]:
    """Digests by which an engine may know what the registry has: that of the tag, and of a configuration."""
    try:
        target, text = registry.manifest(reference.tag)
    except ImageError as error:
        if error.result.get("absent"):
            return set()
        raise
    config = parsed(text, str(reference)).get("config")
    return {target.digest, str(config.get("digest")) if isinstance(config, dict) else target.digest}


def push(registry: Registry, engine: Docker, options: dict[str, Any], reference: Reference, check_mode: bool) -> bool:
    """Whether there was something to push."""
    pushed = not known(registry, reference)
    if pushed and not check_mode:
        try:
            engine.push(reference, (options["registry_username"], options["registry_password"]))
        except ImageError:
            # Others may have pushed the tag meanwhile, and have it kept from being moved.
            if not known(registry, reference):
                raise
            pushed = False
    foreseen = pushed and check_mode
    if options["same"] and not foreseen and engine.digest(str(reference)) not in known(registry, reference):
        raise ImageError(f"{reference}: the registry has another image by this tag than the Docker engine")
    return pushed


def pull(engine: Docker, options: dict[str, Any], reference: Reference, check_mode: bool) -> bool:
    """Whether there was something to pull."""
    wanted = normal(options["platform"]) if options["platform"] else ""
    if engine.digest(str(reference), wanted):
        return False
    if not check_mode:
        engine.pull(reference, (options["registry_username"], options["registry_password"]), wanted)
    return True


def main() -> None:
    module = AnsibleModule(
        argument_spec={
            **_registry_options.SPEC,
            "to": {"type": "str", "choices": ["registry", "engine"], "required": True},
            "same": {"type": "bool", "default": False},
            "platform": {"type": "str"},
            "docker_host": {"type": "str"},
            "engine_timeout": {"type": "float", "default": 600},
        },
        required_together=_registry_options.TOGETHER,
        supports_check_mode=True,
    )
    options = module.params
    try:
        reference = parse(options["image"])
        if options["to"] == "registry" and reference.digest:
            raise ImageError(f"{reference}: an image is pushed by its tag")
        registry = _registry_options.registry(reference, options)
        host = options["docker_host"] or os.environ.get("DOCKER_HOST") or "unix:///var/run/docker.sock"
        engine = Docker(host, options["engine_timeout"])
        if options["to"] == "registry":
            changed = push(registry, engine, options, reference, module.check_mode)
        else:
            changed = pull(engine, options, reference, module.check_mode)
    except ImageError as error:
        module.fail_json(msg=str(error), **error.result)
    module.exit_json(changed=changed, image=str(reference))


if __name__ == "__main__":
    main()
