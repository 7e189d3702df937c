# Copyright: (c) 2026, Windward contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""The canary: one DAG per queue that uses what DAGs use. Role ``verify`` triggers it and reads its log back."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from datetime import timedelta
from pathlib import Path
from typing import Any

from airflow.providers.standard.operators.bash import BashOperator
from airflow.providers.standard.operators.python import PythonOperator
from airflow.providers.standard.triggers.temporal import TimeDeltaTrigger
from airflow.sdk import DAG, BaseOperator, Context, task


def python() -> str:
    """Answer from a plain Python task."""
    host = os.environ.get("AIRFLOW_HOST_ADDRESS") or socket.gethostname()
    print(f"canary: Python {sys.version.split()[0]} on {host}")
    return sys.version


class Deferred(BaseOperator):
    """Goes through a triggerer always: a deferrable sensor does not, if what it waits for has come meanwhile."""

    def execute(self, context: Context) -> None:
        """Wait elsewhere for a moment."""
        self.defer(trigger=TimeDeltaTrigger(timedelta(seconds=1)), method_name="resume")

    def resume(self, context: Context, event: Any = None) -> None:
        """Say that the triggerer has called."""
        print("canary: a triggerer woke this task")


def queues() -> list[str]:
    """In a pod by its environment; on a host by a file beside ``airflow.cfg``, so that a new queue needs no restart."""
    named = os.environ.get("AIRFLOW_CANARY_QUEUES")
    if named:
        return named.split(",")
    return Path(os.environ["AIRFLOW_CONFIG"]).with_name("canary_queues").read_text().split()


for queue in queues():
    with DAG(
        f"canary_{queue}",
        schedule=None,
        catchup=False,
        is_paused_upon_creation=False,
        max_active_runs=4,
        dagrun_timeout=timedelta(minutes=10),
        default_args={"queue": queue, "retries": 0},
        tags=["windward"],
        doc_md="Proof that a task runs in this queue. Triggered by `windward.airflow.verify` after each change.",
    ):

        @task
        def taskflow(text: str) -> int:
            """Take the other task's answer through XCom, and ask a process of our own."""
            answer = subprocess.run([sys.executable, "-c", "print(6 * 7)"], capture_output=True, check=True, text=True)
            print(f"canary: subprocess says {answer.stdout.strip()}, XCom has {len(text)} characters")
            return int(answer.stdout)

        first = PythonOperator(task_id="python", python_callable=python)
        taskflow(first.output)
        BashOperator(task_id="bash", bash_command="echo canary: bash says $((6 * 7))")
        # One more try: Airflow fails a task whose trigger fires before the executor has told that it deferred itself
        # (https://github.com/apache/airflow/issues/67287).
        Deferred(task_id="deferred", retries=1, retry_delay=timedelta(seconds=1))
