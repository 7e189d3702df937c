#!/usr/bin/python
# Copyright: (c) 2026, Windward contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)

from __future__ import annotations

DOCUMENTATION = r"""
module: image_info
short_description: Whether a registry has an image, and with which labels
version_added: 0.1.0
author: Windward contributors (@windward)
description:
  - Asks the registry for an image's documents. No layer is read, and no engine asked.
  - A repository that is not there has no images.
  - The log-in at ECR is done on the controller, which alone needs boto3 and AWS credentials.
extends_documentation_fragment:
  - windward.airflow.registry
options:
  platform:
    description: Platform whose labels are read, such as V(linux/arm64). Unset means that of the host that this runs on.
    type: str
requirements:
  - boto3 (on the controller, for ECR)
attributes:
  check_mode:
    support: full
    description: Changes nothing in any case.
  diff_mode:
    support: none
    description: Nothing is changed.
seealso:
  - module: windward.airflow.image_copy
  - module: windward.airflow.ecr_image
"""

EXAMPLES = r"""
- name: Ask whether an image is there
  windward.airflow.image_info:
    image: 123456789012.dkr.ecr.eu-central-1.amazonaws.com/airflow:20261122080000
  register: found
"""

RETURN = r"""
exists:
  description: Whether the image is there.
  type: bool
  returned: success
  sample: true
digest:
  description: What its tag stands for. Empty if it is not there.
  type: str
  returned: success
  sample: sha256:0f3c...
labels:
  description: Its labels.
  type: dict
  returned: success
  sample: {org.opencontainers.image.version: "20261122080000"}
"""

from ansible.module_utils.basic import AnsibleModule

from ..module_utils import _registry_options
from ..module_utils._ecr_image import fetch
from ..module_utils._image import normal, own_platform, parse, parsed
from ..module_utils._registry import ImageError


def main() -> None:
    module = AnsibleModule(
        argument_spec={**_registry_options.SPEC, "platform": {"type": "str"}},
        required_together=_registry_options.TOGETHER,
        supports_check_mode=True,
    )
    try:
        reference = parse(module.params["image"])
        wanted = normal(module.params["platform"]) if module.params["platform"] else own_platform()
        image = fetch(_registry_options.registry(reference, module.params), reference, wanted)
    except ImageError as error:
        if error.result.get("absent"):
            module.exit_json(changed=False, exists=False, digest="", labels={})
        module.fail_json(msg=str(error), **error.result)
    config = parsed(image.texts[image.config.digest], str(reference)).get("config")
    labels = config.get("Labels") if isinstance(config, dict) else None
    module.exit_json(changed=False, exists=True, digest=image.target.digest, labels=labels or {})


if __name__ == "__main__":
    main()
