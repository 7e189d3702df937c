# Copyright: (c) 2026, Windward contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)

from __future__ import annotations


class ModuleDocFragment:
    # Modules that complete a deployment's secrets; module_utils/_generated.py does.
    DOCUMENTATION = r"""
options:
  generate:
    description:
      - Whether missing secrets may be generated. Leave it V(false) unless this is known to be a new deployment.
    type: bool
    default: false
  expendable:
    description:
      - Those of O(names) that may be generated in an old deployment too, since nothing is lost with them.
    type: list
    elements: str
    default: []
"""
