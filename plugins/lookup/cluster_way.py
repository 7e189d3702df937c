# Copyright: (c) 2026, Windward contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)

from __future__ import annotations

DOCUMENTATION = r"""
name: cluster_way
short_description: The way to a cluster, in full
version_added: 0.1.0
author: Windward contributors (@windward)
description:
  - Names the files of a kubeconfig by their whole paths, and the context, so that all who go there go the same way.
    Modules run in another directory than the user's; M(kubernetes.core.k8s) asks the cluster that it runs in, if there
    is one, unless it is told a context; and whatever is current may become another in the middle of a play.
options:
  _terms:
    description:
      - Two texts. The first is a kubeconfig or several, separated as in C(PATH); empty means E(K8S_AUTH_KUBECONFIG),
        E(KUBECONFIG), and then C(~/.kube/config). The second is a context; empty means E(K8S_AUTH_CONTEXT), and then
        the current one.
    type: list
    elements: str
    required: true
"""

EXAMPLES = r"""
- name: Ask the same cluster by another program
  ansible.builtin.command: kubectl get nodes
  environment:
    KUBECONFIG: "{{ lookup('windward.airflow.cluster_way', '', '').kubeconfig }}"
"""

RETURN = r"""
_raw:
  description: A dictionary with C(kubeconfig) and C(context), which is empty where there is none.
  type: list
  elements: dict
"""

import contextlib
import os
from pathlib import Path
from typing import Any

from ansible.plugins.lookup import LookupBase

from ..module_utils._kubeconfig import DEFAULT, KubernetesError, chosen


class LookupModule(LookupBase):
    def run(self, terms: list[str], variables: Any = None, **kwargs: Any) -> list[dict[str, str]]:
        given, context = terms
        files = given or os.environ.get("K8S_AUTH_KUBECONFIG") or os.environ.get("KUBECONFIG") or DEFAULT
        paths = [Path(os.path.expandvars(one)).expanduser() for one in files.split(os.pathsep) if one]
        way = os.pathsep.join(str(path.absolute()) for path in paths)
        context = context or os.environ.get("K8S_AUTH_CONTEXT") or ""
        if not context:
            with contextlib.suppress(KubernetesError):  # who goes there says it
                context = chosen(way, None)[0]
        return [{"kubeconfig": way, "context": context}]
