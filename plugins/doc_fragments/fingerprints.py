# Copyright: (c) 2026, Windward contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)

from __future__ import annotations


class ModuleDocFragment:
    # Modules that write values which Airflow masks; their argument spec is SECRETS_OPTIONS of module_utils/_desired.py.
    DOCUMENTATION = r"""
options:
  fingerprint_key:
    description:
      - A secret of 16 characters or more, the same in every run, by which fingerprints of the written values are made.
      - The fingerprints are kept in Airflow, in a variable C(windward_fingerprints_connections_...) or
        C(windward_fingerprints_variables_...). Without the key they tell nothing.
    type: str
  update_secrets:
    description:
      - What to do about values that Airflow masks, so that they can not be compared.
      - V(on_change) writes them when the declaration changed since they were written, or when the audit log shows that
        somebody else touched the object after that. It needs O(fingerprint_key), and is the default with it.
      - V(always) writes them in every run, which is then always changed.
      - V(on_create) writes them when the object is created, and never again.
      - Without O(fingerprint_key) a declaration that holds secrets needs this to be chosen.
    type: str
    choices: [on_change, always, on_create]
"""
