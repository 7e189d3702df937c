# Copyright: (c) 2026, Windward contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)

from __future__ import annotations


class ModuleDocFragment:
    # Modules of objects that may belong to a team; module_utils/_kinds.py has their argument spec.
    DOCUMENTATION = r"""
options:
  team_name:
    description: Name of the team that owns it, in an Airflow with teams (3.2 or newer). An empty text removes it.
    type: str
"""
