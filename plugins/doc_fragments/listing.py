# Copyright: (c) 2026, Windward contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)

from __future__ import annotations


class ModuleDocFragment:
    DOCUMENTATION = r"""
options:
  order_by:
    description:
      - The field to sort by, as the API calls it; with C(-) before it the other way round.
      - By default the order is the API's.
    type: str
  limit:
    description:
      - How many to give at most. All pages that this needs are read.
      - By default all.
    type: int
"""

    PATTERN = r"""
options:
  pattern:
    description:
      - Only those whose name contains this, whatever the case. C(%) stands for any text, C(_) for any character, and
        C(|) separates alternatives.
    type: str
  prefix:
    description: Only those whose name begins so. Needs Airflow 3.2.2.
    type: str
"""
