# Copyright: (c) 2026, Windward contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Runs the parts of the test suite that are named (all but the long ones without a name), and says of each how it went.

    python tests/parts.py [PART...]

Every part runs whatever the others did. The end of the output of a part that failed is printed; the last lines of
all say what was skipped, and why what failed did.
"""

from __future__ import annotations

import argparse
import concurrent.futures
import os
import re
import subprocess
import sys
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
CACHE = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "windward.airflow"
TAIL = 25
# What is worth a line also of a part that passed: what was slow, and what a run of faults found.
SAID = (r"\W*(FAULT_SEED=|round \d|\d{2,}\.\d+s |a task whose worker died is missed after "
        r"|\S+ \S+, killed with its worker|\d+ runs, \d+ executions, )")
# What tells why a part failed; what comes after it (machines that are removed) may be longer than the tail.
SKIPPED = r"\W*SKIPPED(?: \[\d+\] \S+)?:? *"
WHY = r"""[-\s'"]*(E   |FAILED |ERROR |fatal: |\[ERROR\])"""
ENVIRONMENT = {
    **os.environ,
    "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
    "ANSIBLE_CONFIG": str(ROOT / "ansible.cfg"),
    "NO_COLOR": "1",
    "ANSIBLE_TIMEOUT": "60",  # seconds for an ssh server of a computer that is busy with other machines
}

# The longest first: the others fill the gaps.
CHECK = {
    "sanity": "tests/sanity.sh --skip-test pylint",
    "pylint": "tests/changed.sh pylint 'plugins/*_utils/*.py requirements-dev.txt tests/*.sh' '*.py' "
              "tests/sanity.sh --test pylint",
    "ansible-lint": "tests/changed.sh ansible-lint "
                    "'.ansible-lint requirements-dev.txt plugins/modules/*.py plugins/doc_fragments/*.py' "
                    "'*.yml *.yaml :!.collections :!changelogs' ansible-lint --offline -q --nocolor",
    "unit": "pytest -q -n 2 -p no:cacheprovider tests/unit",
    "chart": "pytest -q -p no:cacheprovider tests/chart",
    # What antsibull renders from markup that it has checked needs no check as reStructuredText.
    "docs": "antsibull-docs lint-collection-docs --plugin-docs --skip-rstcheck --validate-collection-refs=self .",
    "mypy": f"mypy --no-error-summary --cache-dir {CACHE}/mypy plugins",
    "yamllint": "yamllint --strict .",
    "changelog": "antsibull-changelog lint",
    "ruff": f"ruff check --quiet --output-format concise --cache-dir {CACHE}/ruff .",
}
# Each runs on virtual machines or clusters of its own. The first installs what makes them.
FIRST = {
    "local_vm": "tests/integration/prepare.sh && pytest -q -p no:cacheprovider tests/integration/test_local_vm.py",
}
# Two at a time, the longest first: a play keeps one core busy; waiting for Airflow to miss a dead worker keeps none.
VM = {
    "vms": "molecule test -s vms",
    "default": "tests/browser/prepare.sh && molecule test -s default",
    # One engine for both. Where nothing is cached yet, this first compiles Kubernetes, for a quarter of an hour.
    "kind": "tests/kind/run.sh bash -c 'pytest -q -p no:cacheprovider tests/kind && tests/kind/scenario.sh kind'",
    "modules": "molecule test -s modules",
    "two_hosts": "molecule test -s two_hosts",
    "kill": "molecule test -s kill",
    # Registries and containerds on this machine; where nothing is cached yet, this first compiles containerd 2.
    "registry": "tests/registry/prepare.sh && pytest -q -p no:cacheprovider tests/registry",
}
# Run by name (make test-long, make test-kind), not with the rest.
LONG = {
    "own_services": "molecule test -s own_services",
    "vms_long": "TESTS=vms_long molecule test -s vms",
    "cluster": "tests/browser/prepare.sh && tests/kind/run.sh tests/kind/scenario.sh cluster",
    "image": "tests/registry/prepare.sh && tests/kind/run.sh tests/kind/scenario.sh image",
    "kind_celery": "tests/kind/run.sh tests/kind/scenario.sh kind_celery",
}
STAGES = [(CHECK, os.cpu_count() or 1), (FIRST, 1), (VM, 2), (LONG, 1)]
PARTS = {name: command for parts, _jobs in STAGES for name, command in parts.items()}


def run(name: str, folder: Path) -> tuple[str, int, float, Path]:
    """Run one part with its output in a file of its own."""
    log, start = folder / f"{name}.log", time.monotonic()
    with log.open("wb") as stream:
        done = subprocess.run(
            ["bash", "-c", PARTS[name]], cwd=ROOT, env=ENVIRONMENT, check=False,
            stdin=subprocess.DEVNULL, stdout=stream, stderr=stream,
        )
    return name, done.returncode, time.monotonic() - start, log


def report(name: str, code: int, seconds: float, log: Path) -> None:
    print(f"{'ok' if code == 0 else 'FAILED':<8}{name:<16}{seconds:7.1f} s", flush=True)
    lines = log.read_text(errors="replace").splitlines()
    if code:
        print("".join(f"    {line}\n" for line in lines[-TAIL:]), f"    (all of it: {log})", sep="", flush=True)
    else:
        print("".join(f"        {line}\n" for line in lines if re.match(SAID, line)), end="", flush=True)


def matching(pattern: str, log: Path) -> list[str]:
    """What is told once more, at the very end: the last lines of a log that match, cut."""
    lines = log.read_text(errors="replace").splitlines()
    return [line.strip()[:300] for line in lines if re.match(pattern, line)][-TAIL:]


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("parts", nargs="*", metavar="PART", help="check, vm, or one of " + ", ".join(PARTS))
    given = parser.parse_args()
    groups = {"check": list(CHECK), "vm": [*FIRST, *VM]}
    names = list(dict.fromkeys(part for name in given.parts or groups for part in groups.get(name, [name])))
    if unknown := [name for name in names if name not in PARTS]:
        parser.error("no such part: " + ", ".join(unknown))
    folder = CACHE / "logs"
    folder.mkdir(parents=True, exist_ok=True)
    failed: list[Path] = []
    skipped: dict[str, None] = {}
    for parts, jobs in STAGES:
        with concurrent.futures.ThreadPoolExecutor(jobs) as pool:
            runs = [pool.submit(run, name, folder) for name in parts if name in names]
            for done in concurrent.futures.as_completed(runs):
                report(*done.result())
                name, code, _seconds, log = done.result()
                failed += [log] if code else []
                skipped |= {f"skipped in {name}: {re.sub(SKIPPED, '', line)}": None for line in matching(SKIPPED, log)}
    for log in failed:
        print(f"{log.stem}:", *matching(WHY, log), sep="\n    ")
    print(*skipped, sep="\n", end="\n" if skipped else "")
    print(f"{len(names) - len(failed)} passed, {len(failed)} failed")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
