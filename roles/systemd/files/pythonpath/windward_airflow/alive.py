# Copyright: (c) 2026, Windward contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Whether the component of this pod shows a heartbeat: `python -m windward_airflow.alive SchedulerJob`.

Airflow's own command for this loads all of Airflow, seconds of a processor each time; this loads nothing of it.
"""

from __future__ import annotations

import os
import socket
import sys

import psycopg2

PATIENCE = 120  # seconds; a busy scheduler's heart beats late

QUERY = """
SELECT count(*) FROM job WHERE job_type = %s AND hostname = %s AND state = 'running'
AND latest_heartbeat > now() - make_interval(secs => %s)
"""

if __name__ == "__main__":
    url = os.environ["AIRFLOW__DATABASE__SQL_ALCHEMY_CONN"].replace("postgresql+psycopg2:", "postgresql:", 1)
    address = socket.gethostbyname(socket.gethostname())
    with psycopg2.connect(url, connect_timeout=10) as connection, connection.cursor() as cursor:
        cursor.execute(QUERY, [sys.argv[1], address, PATIENCE])
        sys.exit(0 if cursor.fetchone()[0] else f"no heartbeat of a {sys.argv[1]} on {address}")
