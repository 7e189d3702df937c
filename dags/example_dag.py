"""An example: Python and Bash tasks, started by hand."""

from __future__ import annotations

import platform
from datetime import datetime

from airflow.providers.standard.operators.bash import BashOperator
from airflow.sdk import DAG, task

with DAG(
    "example_dag",
    description="Says hello from Python and from Bash",
    schedule=None,
    start_date=datetime(2026, 1, 1),
    catchup=False,
    is_paused_upon_creation=True,
    tags=["example"],
):

    @task
    def hello() -> str:
        """Say on which Python the tasks run."""
        message = f"Hello from Python {platform.python_version()}"
        print(message)
        return message

    hello() >> BashOperator(task_id="goodbye", bash_command="echo Goodbye from $(uname -sr)")
