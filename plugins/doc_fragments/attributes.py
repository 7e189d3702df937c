# Copyright: (c) 2026, Windward contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)

from __future__ import annotations


class ModuleDocFragment:
    DOCUMENTATION = r"""
options: {}
attributes:
  check_mode:
    description: Says in C(check_mode) what it would change, and changes nothing.
  diff_mode:
    description: Shows what it changes, or in C(check_mode) would change.
  action_group:
    description: Use C(group/windward.airflow.airflow) in C(module_defaults) to set the connection options once.
    support: full
    membership:
      - windward.airflow.airflow
"""

    INFO = r"""
options: {}
attributes:
  check_mode:
    description: Says in C(check_mode) what it would change, and changes nothing.
    support: full
    details:
      - This action does not modify state.
  diff_mode:
    description: Shows what it changes, or in C(check_mode) would change.
    support: N/A
    details:
      - This action does not modify state.
  action_group:
    description: Use C(group/windward.airflow.airflow) in C(module_defaults) to set the connection options once.
    support: full
    membership:
      - windward.airflow.airflow
"""
