# Copyright: (c) 2026, Windward contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)

from __future__ import annotations


class ModuleDocFragment:
    # Modules that run a release's own code; their argument spec is OPTIONS of module_utils/_release.py.
    DOCUMENTATION = r"""
options:
  release:
    description:
      - Directory of the release whose interpreter is used.
      - If unset, the module runs in a container of a component, and uses the interpreter and the environment that it
        has there.
    type: path
  config_dir:
    description: Directory of the configuration, in which C(environment/) holds a file per component.
    type: path
    default: /etc/airflow
  user:
    description: Unix user that runs the release's code. If unset, the one that runs the module.
    type: str
"""

    # Modules that install with uv; their argument spec is OPTIONS of module_utils/_uv.py.
    INSTALL = r"""
options:
  root:
    description: Directory that holds C(releases/), C(locks/), C(uv/) and the link C(current).
    type: path
    required: true
  lock:
    description:
      - File on the host with requirements and their hashes, in pip's format.
      - Its path names its content, as M(windward.airflow.tree) and M(windward.airflow.requirements_lock) name theirs.
    type: path
    required: true
  uv_lock:
    description: File on the host with the requirement of C(uv) and its hashes. Its path names its content, too.
    type: path
    required: true
  python:
    description: Interpreter that the release is built on.
    type: path
    default: /usr/bin/python3
  index_url:
    description: Python package index. Its URL may hold a password.
    type: str
    default: https://pypi.org/simple
  environment:
    description: Environment of the downloads, for example proxies. It may hold a password.
    type: dict
    default: {}
"""
