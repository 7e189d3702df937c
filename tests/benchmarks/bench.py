"""Time the cold and the idle run of site.yml against the official quick start, on new VMs of this computer.

`make bench` runs it: ROUNDS rounds (3); medians, the ratios of the same run, and where the time of the last round
went by step and by task, as Markdown tables.
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


def play(playbook: str, *arguments: str, inventory: Path = INVENTORY) -> tuple[float, str]:
    """Run a playbook; return its seconds and what it printed. A failure ends the benchmark."""
    environment = dict(
        os.environ, ANSIBLE_CONFIG=str(ROOT / "ansible.cfg"), PROFILE_TASKS_TASK_OUTPUT_LIMIT="all",
        ANSIBLE_CALLBACKS_ENABLED="ansible.posix.profile_tasks,windward.airflow.steps",
    )
    started = time.monotonic()
    done = subprocess.run(
        [str(Path(sys.executable).parent / "ansible-playbook"), playbook, "-i", str(inventory), *arguments],
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


def profile(said: str) -> dict[str, dict[str, float]]:
    """Return the seconds by step and by task that a run printed of itself."""
    tasks = [line.rpartition(" ") for line in re.findall(r"^\S.* -{2,} [\d.]+s$", said, re.MULTILINE)]
    steps = re.findall(r"^(\d \w+) +([\d.]+) s$", said, re.MULTILINE)
    return {
        "step": {name: float(seconds) for name, seconds in steps},
        "task": {name.rstrip(" -"): float(seconds[:-1]) for name, _space, seconds in tasks},
    }


def show(cold: dict[str, dict[str, float]], idle: dict[str, dict[str, float]]) -> None:
    """Print both profiles side by side: all steps, and the tasks that took a second or more."""
    for kind in ("step", "task"):
        print(f"\n| {kind} | cold, s | nothing changed, s |\n|---|---|---|")
        for name, seconds in cold[kind].items():
            if kind == "step" or seconds >= 1:
                print(f"| {name} | {seconds:.1f} | {idle[kind].get(name, 0):.1f} |")


def one_round() -> tuple[dict[str, float], str, str]:
    """Measure once on new VMs; return the figures and what the cold and the idle run printed."""
    play("tests/benchmarks/vms.yml", "-e", "tasks_from=absent")
    made, _said = play("tests/benchmarks/vms.yml", "-e", "tasks_from=main")
    _seconds, said = play("tests/benchmarks/rival.yml", "-e", f"version={RELEASE}", "-e", f"cut={cut()}")
    rival = re.search(r"RIVAL install ([\d.]+) healthy ([\d.]+)", said)
    assert rival, said
    cold, cold_said = play("site.yml")
    before = executions()
    idle, idle_said = play("site.yml")
    between = executions() - before
    figures = {
        "two VMs made": made, "quick start: installed": float(rival[1]), "quick start: healthy": float(rival[2]),
        "site.yml, cold": cold, "site.yml, nothing changed": idle,
        # The counting play is itself one execution.
        "module executions, nothing changed": between - 1,
        "cold / quick start": cold / float(rival[2]), "nothing changed / cold": idle / cold,
    }
    return figures, cold_said, idle_said


def main() -> None:
    rounds = [one_round() for _number in range(int(os.environ.get("ROUNDS", "3")))]
    play("tests/benchmarks/vms.yml", "-e", "tasks_from=absent")
    print(f"| what | median of {len(rounds)} | all |\n|---|---|---|")
    for name in rounds[0][0]:
        values = [figures[name] for figures, _cold, _idle in rounds]
        print(f"| {name} | {statistics.median(values):.2f} | {', '.join(f'{value:.2f}' for value in values)} |")
    show(profile(rounds[-1][1]), profile(rounds[-1][2]))


if __name__ == "__main__":
    main()
