# Copyright: (c) 2026, Windward contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)

from __future__ import annotations

DOCUMENTATION = r"""
name: airflow_connection_from_uri
short_description: The fields of a connection of Airflow, from its URI
version_added: 0.1.0
author: Windward contributors (@windward)
description:
  - Reads a URI as Airflow does when C(airflow connections add --conn-uri) is given it.
  - A URI without a scheme is refused, as a connection needs its type.
  - A value in the URI's query that is JSON becomes what it says, so that C(timeout=5) is a number.
positional: _input
options:
  _input:
    description: The URI.
    type: str
    required: true
seealso:
  - plugin: windward.airflow.airflow_connection_uri
    plugin_type: filter
"""

EXAMPLES = r"""
- name: See what a URI says
  ansible.builtin.debug:
    msg: "{{ 'postgres://db.example.org:5432/sales?sslmode=require' | windward.airflow.airflow_connection_from_uri }}"

- name: Look at the host only, and keep the password
  ansible.builtin.debug:
    msg: "{{ (vault_sales_db_uri | windward.airflow.airflow_connection_from_uri).host }}"
"""

RETURN = r"""
_value:
  description:
    - Those of C(conn_type), C(host), C(login), C(password), C(port), C(schema) and C(extra), a dictionary, that are not
      empty.
  type: dict
"""

from typing import Any

from ansible.errors import AnsibleFilterError

from ..module_utils._connection_uri import UriError, from_uri


def airflow_connection_from_uri(uri: Any) -> dict[str, Any]:
    """Return the fields that a URI names."""
    if not isinstance(uri, str):
        raise AnsibleFilterError("airflow_connection_from_uri wants a text")
    try:
        return from_uri(uri)
    except UriError as exc:
        raise AnsibleFilterError(f"airflow_connection_from_uri: {exc}") from exc


class FilterModule:
    """Filter over URIs of connections."""

    def filters(self) -> dict[str, Any]:
        return {"airflow_connection_from_uri": airflow_connection_from_uri}
