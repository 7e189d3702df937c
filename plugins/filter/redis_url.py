# Copyright: (c) 2026, Windward contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)

from __future__ import annotations

DOCUMENTATION = r"""
name: redis_url
short_description: The URL of a Redis that asks for a password
version_added: 0.1.0
author: Windward contributors (@windward)
description:
  - From a password and a place, the URL by which Celery knows its broker. The password may have any character.
positional: _input, host, port
options:
  _input:
    description: The password.
    type: str
    required: true
  host:
    description: Name or IPv4 address of the server.
    type: str
    required: true
  port:
    description: Its port.
    type: int
    required: true
  user:
    description: Whose password it is. Empty means the server's only one.
    type: str
    default: ""
"""

EXAMPLES = r"""
- name: Show where the broker is
  ansible.builtin.debug:
    msg: "{{ '***' | windward.airflow.redis_url('10.0.0.5', 6379, user='airflow') }}"
"""

RETURN = r"""
_value:
  description: The URL.
  type: str
"""

from typing import Any
from urllib.parse import quote


def redis_url(password: str, host: str, port: int, user: str = "") -> str:
    """Return the URL. Jinja's own filter, urlencode, leaves a slash as it is, and there the host would end."""
    return f"redis://{quote(user, safe='')}:{quote(password, safe='')}@{host}:{port}/0"


class FilterModule:
    """Filters over what a deployment needs."""

    def filters(self) -> dict[str, Any]:
        return {"redis_url": redis_url}
