"""Time the cold and the idle run of site.yml against the official quick start, on new VMs of this computer.

`make bench` runs it: ROUNDS rounds (3), medians and the ratios of the same run, as a Markdown table.
"""

from __future__ import annotations

import os
import re
import statistics
import subprocess
import sys
import time
from pathlib import Path

HERE = Path(__file__).resolve().parent
ROOT = HERE.parents[1]
INVENTORY = HERE / "inventory"
RELEASE = "3.3.2"


def play(playbook: str, *arguments: str, profile: bool = False) -> tuple[float, str]:
    """Run a playbook; return its seconds and what it printed. A failure ends the benchmark."""
    environment = dict(os.environ, ANSIBLE_CONFIG=str(ROOT / "ansible.cfg"))
    if profile:
        environment["ANSIBLE_CALLBACKS_ENABLED"] = "ansible.posix.profile_tasks,windward.airflow.steps"
    started = time.monotonic()
    done = subprocess.run(
        [str(Path(sys.executable).parent / "ansible-playbook"), playbook, "-i", str(INVENTORY), *arguments],
        cwd=ROOT, env=environment, capture_output=True, text=True, check=False,
    )
    seconds = time.monotonic() - started
    if done.returncode:
        sys.exit(f"{playbook} ended with {done.returncode}:\n{done.stdout[-6000:]}\n{done.stderr[-2000:]}")
    return seconds, done.stdout


def executions() -> int:
    """How many modules were ever run on the VM: each leaves a line in its journal."""
    _seconds, said = play("tests/benchmarks/executions.yml")
    found = re.search(r"EXECUTIONS (\d+)", said)
    assert found, said
    return int(found[1])


def cut() -> str:
    """The date at which the index is cut, for both."""
    text = (ROOT / "roles/airflow/vars/main/releases.yml").read_text()
    found = re.search(rf'{re.escape(RELEASE)}:\s+released: "([^"]+)"', text)
    assert found, text
    return found[1]


def one_round() -> dict[str, float]:
    """Measure once on new VMs."""
    play("tests/benchmarks/vms.yml", "-e", "tasks_from=absent")
    made, _said = play("tests/benchmarks/vms.yml", "-e", "tasks_from=main")
    _seconds, said = play("tests/benchmarks/rival.yml", "-e", f"version={RELEASE}", "-e", f"cut={cut()}")
    rival = re.search(r"RIVAL install ([\d.]+) healthy ([\d.]+)", said)
    assert rival, said
    cold, profile = play("site.yml", profile=True)
    Path(os.environ.get("BENCH_LOG", "/dev/null")).write_text(profile)
    before = executions()
    idle, _said = play("site.yml")
    between = executions() - before
    return {
        "two VMs made": made, "quick start: installed": float(rival[1]), "quick start: healthy": float(rival[2]),
        "site.yml, cold": cold, "site.yml, nothing changed": idle,
        # The counting play is itself one execution.
        "module executions, nothing changed": between - 1,
        "cold / quick start": cold / float(rival[2]), "nothing changed / cold": idle / cold,
    }


def main() -> None:
    rounds = [one_round() for _number in range(int(os.environ.get("ROUNDS", "3")))]
    play("tests/benchmarks/vms.yml", "-e", "tasks_from=absent")
    print(f"| what | median of {len(rounds)} | all |\n|---|---|---|")
    for name in rounds[0]:
        values = [measured[name] for measured in rounds]
        print(f"| {name} | {statistics.median(values):.2f} | {', '.join(f'{value:.2f}' for value in values)} |")


if __name__ == "__main__":
    main()
