# Copyright: (c) 2026, Windward contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""The name under which peers reach this host."""

from __future__ import annotations

import os


def address() -> str:
    """Return the host's address as the inventory gives it (``[core] hostname_callable``)."""
    return os.environ["AIRFLOW_HOST_ADDRESS"]
