# Copyright: (c) 2026, Windward contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)

from __future__ import annotations

DOCUMENTATION = r"""
name: airflow_connection_uri
short_description: A connection of Airflow as a URI
version_added: 0.1.0
author: Windward contributors (@windward)
description:
  - Writes the fields of a connection as the URI that Airflow reads as this connection, for a variable such as
    C(AIRFLOW_CONN_SALES_DB) or a secrets backend.
  - It fails rather than lose something, where Airflow would read something else from the URI. Only the case of the
    host's name is lost, and C(-) in C(conn_type) becomes C(_), as everywhere in Airflow.
  - The URI holds the password.
positional: _input
options:
  _input:
    description:
      - C(conn_type), which must be given, C(host), C(login), C(password), C(port), C(schema), and C(extra) as a
        dictionary or as JSON of one. Other fields have no place in a URI and are left out.
    type: dict
    required: true
seealso:
  - plugin: windward.airflow.airflow_connection_from_uri
    plugin_type: filter
"""

EXAMPLES = r"""
- name: Give a program its connection
  ansible.builtin.copy:
    dest: /etc/program/environment
    content: |
      AIRFLOW_CONN_SALES_DB={{ sales_db | windward.airflow.airflow_connection_uri }}
    mode: "0600"
  vars:
    sales_db:
      conn_type: postgres
      host: db.example.org
      login: sales
      password: "{{ vault_sales_db_password }}"
      port: 5432
      schema: sales
      extra: {sslmode: require}
"""

RETURN = r"""
_value:
  description: The URI, as C(postgres://sales:secret@db.example.org:5432/sales?sslmode=require).
  type: str
"""

from typing import Any

from ansible.errors import AnsibleFilterError

from ..module_utils._connection_uri import UriError, to_uri


def airflow_connection_uri(connection: Any) -> str:
    """Return the URI of a connection."""
    if not isinstance(connection, dict):
        raise AnsibleFilterError("airflow_connection_uri wants a dictionary")
    try:
        return to_uri(connection)
    except UriError as exc:
        raise AnsibleFilterError(f"airflow_connection_uri: {exc}") from exc


class FilterModule:
    """Filter over connections."""

    def filters(self) -> dict[str, Any]:
        return {"airflow_connection_uri": airflow_connection_uri}
