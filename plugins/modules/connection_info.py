#!/usr/bin/python
# Copyright: (c) 2026, Windward contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)

from __future__ import annotations

DOCUMENTATION = r"""
module: connection_info
short_description: Tell about connections of Airflow
version_added: 0.1.0
description:
  - Gives connections of Airflow without their secrets. A connection that is named and does not exist is an empty
    list, no error.
  - A password is never given, only whether there is one.
  - In C(extra) the values whose name Airflow takes for a secret's are C(***). Such a name contains one of
    C(access_key), C(api_key), C(apikey), C(auth_header), C(authorization), C(bearer), C(connection_string), C(dsn),
    C(keyfile_dict), C(passphrase), C(passwd), C(password), C(private_key), C(proxies), C(proxy), C(secret),
    C(service_account), C(service_key), C(token), C(webhook_url). The module masks them even if Airflow was told not
    to (C([core] hide_sensitive_var_conn_fields)), and Airflow masks more if told to (C([core]
    sensitive_var_conn_names)).
  - Airflow replaces every text that its server has seen as a secret, so that any value of C(extra) may come back
    with C(***) in it.
author: Windward contributors (@windward)
extends_documentation_fragment:
  - windward.airflow.api
  - windward.airflow.attributes.info
  - windward.airflow.listing
  - windward.airflow.listing.pattern
options:
  connection_id:
    description: One connection, by its ID. Filters do not go with it.
    type: str
seealso:
  - module: windward.airflow.connection
  - module: windward.airflow.export
"""

EXAMPLES = r"""
- name: List the connections to warehouses
  windward.airflow.connection_info:
    api_url: https://airflow.example.org
    api_username: deploy
    api_password: "{{ vault_deploy_password }}"
    prefix: warehouse_
  register: warehouses

- name: Look whether a connection has a password
  windward.airflow.connection_info:
    api_url: https://airflow.example.org
    api_token: "{{ airflow_token }}"
    connection_id: sales_db
  register: sales

- name: Give the last ten IDs
  windward.airflow.connection_info:
    api_url: https://airflow.example.org
    api_token: "{{ airflow_token }}"
    order_by: -connection_id
    limit: 10
"""

RETURN = r"""
connections:
  description: The connections, with the API's names of their fields.
  returned: success
  type: list
  elements: dict
  sample:
    - connection_id: sales_db
      conn_type: postgres
      description: null
      host: db.example.org
      login: sales
      schema: sales
      port: 5432
      team_name: null
      has_password: true
      extra: {sslmode: require, api_token: "***"}
"""

from ..module_utils._info import PATTERN, Listing, connection_row, patterns

CONNECTIONS = Listing(
    path="/api/v2/connections",
    rows="connections",
    key="connection_id",
    filters=patterns("connection_id"),
    shape=connection_row,
)


def main() -> None:
    CONNECTIONS.run(PATTERN, mutually_exclusive=[("connection_id", "pattern"), ("connection_id", "prefix")])


if __name__ == "__main__":
    main()
