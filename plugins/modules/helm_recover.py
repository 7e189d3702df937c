#!/usr/bin/python
# Copyright: (c) 2026, Windward contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)

from __future__ import annotations

DOCUMENTATION = r"""
module: helm_recover
short_description: Let helm go on after a run that was killed
version_added: 0.1.0
author: Windward contributors (@windward)
description:
  - A killed run leaves a revision that helm calls pending, and helm then refuses everything. This module calls it
    failed, so that the next upgrade starts from what that revision had begun to apply.
  - Nothing but the record of the last revision is changed, and only when it is not finished.
  - Helm does not look at what became of a release's objects while chart and values stay the same. This module does.
  - The result says whether the last revision has failed, since M(kubernetes.core.helm) takes the values of a failed one
    for applied.
extends_documentation_fragment:
  - windward.airflow.cluster
options:
  name:
    description: Name of the release.
    type: str
    required: true
  chart:
    description: The archive of the chart that the release is to be of. With O(values) it is told whether it is.
    type: path
  values:
    description: The values that it is to have. They hold no secret.
    type: dict
attributes:
  check_mode:
    support: full
    description: Tells what would be done.
  diff_mode:
    support: full
    description: Shows the status before and after.
"""

EXAMPLES = r"""
- name: Recover
  windward.airflow.helm_recover:
    namespace: airflow
    name: airflow
    chart: /srv/charts/airflow-1.22.0.tgz
    values: {executor: CeleryExecutor}
  register: release

- name: Bring the release to what is wanted
  kubernetes.core.helm:
    namespace: airflow
    name: airflow
    chart_ref: /srv/charts/airflow-1.22.0.tgz
    values: {executor: CeleryExecutor}
    force: "{{ release.failed_before or release.lost | length > 0 }}"
  when: not release.as_wanted
"""

RETURN = r"""
revision:
  description: The last revision, 0 when there is no release.
  type: int
  returned: success
  sample: 4
status:
  description: Its status as it was found, empty when there is no release.
  type: str
  returned: success
  sample: pending-upgrade
failed_before:
  description: Whether it was not deployed whole.
  type: bool
  returned: success
  sample: true
as_wanted:
  description:
    - Whether it was deployed whole, of a chart with the name and the versions of O(chart), with O(values). It is what
      M(kubernetes.core.helm) compares, too. And whether RV(lost) is empty.
    - V(false) without O(chart) or O(values), and where helm has its plugin C(diff), with which
      M(kubernetes.core.helm) compares more.
  type: bool
  returned: success
  sample: false
lost:
  description:
    - What of a release that is otherwise as wanted is not there any more, or is not as the release gave it. The API
      server tells so, asked what would come of applying it. What others have set beside that is not looked at.
    - With C(force), helm puts it back, and replaces what differs as a whole.
  type: list
  elements: str
  returned: success
  sample: [Deployment airflow-worker-heavy has 0 replicas and not 1]
"""

import base64
import gzip
import json
import os
import re
import tarfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

try:
    import yaml
except ImportError:  # said by main
    yaml = None  # type: ignore[assignment]

from ansible.module_utils.basic import AnsibleModule, missing_required_lib

from ..module_utils._chart import about
from ..module_utils._kubernetes import OPTIONS, cluster
from ..module_utils._kubernetes_api import KubernetesError
from ..module_utils._kubernetes_places import Places, declared, difference, lacks, name_of

MANAGER = "helm"  # as helm itself calls itself


def read(record: str) -> dict[str, Any]:
    """Helm's record of a revision."""
    content: dict[str, Any] = json.loads(gzip.decompress(base64.b64decode(record)))
    return content


def as_failed(record: str) -> str:
    """The same with another status."""
    content = read(record)
    content["info"]["status"] = "failed"
    content["info"]["description"] = "The run was killed before it was finished"
    return base64.b64encode(gzip.compress(json.dumps(content).encode())).decode()


def compares(environment: dict[str, str]) -> bool:
    """Whether helm has its plugin diff, where helm looks for plugins (helm.sh/docs/helm/helm)."""
    home = environment.get("HOME", "")
    data = environment.get("HELM_DATA_HOME") or (environment.get("XDG_DATA_HOME") or f"{home}/.local/share") + "/helm"
    places = [environment.get("HELM_PLUGINS") or f"{data}/plugins", f"{home}/Library/helm/plugins"]
    found = [path for place in ":".join(places).split(":") for path in Path(place).glob("*/plugin.yaml")]
    return any(re.search(r"^name: *[\"']?diff\b", path.read_text(errors="replace"), re.MULTILINE) for path in found)


def is_as_wanted(record: str, chart: str, values: dict[str, Any]) -> bool:
    deployed, wanted = read(record), about(chart)
    was = deployed["chart"]["metadata"]
    same = all((was.get(name) or "") == (wanted.get(name) or "") for name in ("name", "version", "appVersion"))
    return same and (deployed.get("config") or {}) == values


def drift(places: Places, one: dict[str, Any], found: dict[str, Any], warn: Callable[[str], None]) -> str:
    """Where an object is not as it was given: also where it can't be given that, as it is now. A webhook may refuse to
    be tried; then nobody knows."""
    try:
        return difference(declared(found), declared(places.apply(one, MANAGER, try_only=True)))
    except KubernetesError as error:
        if "webhook" not in str(error) and (changed := lacks(found, one)):
            return changed
        warn(f"{name_of(one)} was not compared with what is there: {error}")
        return ""


def lost(record: str, places: Places, warn: Callable[[str], None]) -> list[str]:
    """What of a release is not there any more, or is not as it was given."""
    told = []
    loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)  # the other one takes a second
    for one in filter(None, yaml.load_all(read(record).get("manifest") or "", Loader=loader)):
        found, wanted = places.read(one), (one.get("spec") or {}).get("replicas")
        if found is None:
            told.append(f"{name_of(one)} is not there")
        elif wanted is not None and found["spec"].get("replicas") != wanted:
            told.append(f"{name_of(one)} has {found['spec'].get('replicas')} replicas and not {wanted}")
        elif changed := drift(places, one, found, warn):
            told.append(f"{name_of(one)} has another {changed} than it was given")
    return told


def main() -> None:
    spec = {
        **OPTIONS,
        "name": {"type": "str", "required": True},
        "chart": {"type": "path"},
        "values": {"type": "dict"},
    }
    module = AnsibleModule(argument_spec=spec, supports_check_mode=True)
    if yaml is None:
        module.fail_json(msg=missing_required_lib("PyYAML"))
    chart, values = module.params["chart"], module.params["values"]
    name, namespace = module.params["name"], module.params["namespace"]
    try:
        api, place = cluster(module), f"/api/v1/namespaces/{namespace}/secrets"
        found = api.items(place, labelSelector=f"owner=helm,name={name}")
        if not found:
            module.exit_json(changed=False, revision=0, status="", failed_before=False, as_wanted=False, lost=[])
        last = max(found, key=lambda one: int(one["metadata"]["labels"]["version"]))
        status = last["metadata"]["labels"]["status"]
        record = base64.b64decode(last["data"]["release"]).decode()
        changed = status not in ("deployed", "failed")
        if changed and not module.check_mode:
            patch = {"metadata": {"labels": {"status": "failed"}}, "stringData": {"release": as_failed(record)}}
            api.patch(f"{place}/{last['metadata']['name']}", patch)
    except KubernetesError as error:
        module.fail_json(msg=f"The record of release {name} can't be read in namespace {namespace}: {error}")
    gone: list[str] = []
    try:
        same = bool(status == "deployed" and chart and values is not None and is_as_wanted(record, chart, values))
        gone = lost(record, Places(api, namespace), module.warn) if same else []
    except (OSError, tarfile.TarError, yaml.YAMLError) as error:
        module.fail_json(msg=f"The chart {chart} or helm's plugins can't be read: {error}")
    except KubernetesError as error:
        module.fail_json(msg=f"The objects of release {name} can't be read in namespace {namespace}: {error}")
    after = "failed" if changed else status
    module.exit_json(
        changed=changed,
        revision=int(last["metadata"]["labels"]["version"]),
        status=status,
        failed_before=status != "deployed",
        as_wanted=same and not gone and not compares(dict(os.environ)),
        lost=gone,
        diff={"before": f"{status}\n", "after": f"{after}\n"},
    )


if __name__ == "__main__":
    main()
