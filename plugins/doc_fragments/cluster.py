# Copyright: (c) 2026, Windward contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)

from __future__ import annotations


class ModuleDocFragment:
    """The options of modules that ask a Kubernetes cluster."""

    DOCUMENTATION = r"""
options:
  kubeconfig:
    description:
      - File with the way to the cluster. If unset, E(K8S_AUTH_KUBECONFIG) or E(KUBECONFIG) is used, else
        C(~/.kube/config).
    type: path
  context:
    description: The kubeconfig's context. If unset, E(K8S_AUTH_CONTEXT) is used, else the one that is current there.
    type: str
  namespace:
    description: The namespace.
    type: str
    required: true
requirements:
  - PyYAML
"""
