# Copyright: (c) 2026, Windward contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Every module of the action group against each version of Airflow, and what each version's audit log gives away.

    python tests/matrix/matrix.py [--target NAME] [VERSION...]

The tables that it prints stand in docs/modules.md.
"""

from __future__ import annotations

import argparse
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import yaml

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / ".collections"))

import leaks
from ansible_collections.windward.airflow.plugins.module_utils._masks import EVER, sensitive
from servers import CACHE, ROOT, Airflow, airflow, postgres, release

# The index is cut here for a version that has no lock of ours: a day after its release.
VERSIONS = {"3.1.8": "2026-03-12T00:00:00Z", "3.2.2": "2026-05-30T00:00:00Z", "3.3.2": None}
# The error by which a target may be told that the version lacks something, and what the table then says of the module.
TAKE = {"took none away": "takes no permission away (FAB provider 3.6.4 or older)"}
DELETE = {"fails to delete any role": "deletes no role (FAB provider 3.4.0)"}
LACKS = {("role", "3.1.8"): TAKE | DELETE, ("role", "3.2.2"): TAKE}
TARGETS = ROOT / "tests/integration/targets"
TEAMS = ("3.2.2", "3.3.2")  # those that know teams; they get a server with one, for the target of that name


def targets() -> dict[str, set[str]]:
    """The modules that each target of the integration tests runs."""
    return {
        folder.name: {
            module
            for path in sorted(folder.glob("tasks/*.yml"))
            for module in re.findall(r"^ +windward\.airflow\.(\w+):", path.read_text(), re.MULTILINE)
        }
        for folder in sorted(TARGETS.iterdir())
    }


def group() -> list[str]:
    runtime = yaml.safe_load((ROOT / "meta/runtime.yml").read_text())
    return sorted(runtime["action_groups"]["airflow"])


def table(heads: list[str], rows: list[list[str]]) -> str:
    lines = [heads, ["---"] * len(heads), *rows]
    return "".join(f"| {' | '.join(line)} |\n" for line in lines)


def tried(one: Airflow, target: str, covered: set[str], logs: Path, said: dict[str, str]) -> dict[str, str]:
    """Run a target; return what is to be said of its modules."""
    start, word, found = time.monotonic(), "ok", {module: said.get(module, "works") for module in covered}
    known = LACKS.get((target, one.version), {})
    try:
        out = leaks.play(
            one, "tests/integration/modules.yml", "--tags", target, log=logs / f"{target}.txt", lacks="|".join(known)
        )
        if lacks := [what for error, what in known.items() if error in " ".join(out.split())]:
            word, found[target] = "lacks", f"works, but {', '.join(lacks)}"
    except RuntimeError as exc:
        word, found = "FAILED", dict.fromkeys(covered, "**fails**")
        print(exc, flush=True)
    print(f"{word:<8}{one.version} {target:<14}{time.monotonic() - start:6.1f} s", flush=True)
    return found


def names(version: str, programs: Path) -> list[str]:
    """What this version hides by its name and our list doesn't; it takes for each version's what this one hides not."""
    code = "from airflow._shared.secrets_masker import DEFAULT_SENSITIVE_FIELDS as f; print(*f)"
    told = subprocess.run([programs / "python", "-c", code], capture_output=True, text=True, check=True)
    theirs = told.stdout.splitlines()[-1].split()
    lost = [name for name in EVER.split("|") if not any(word in name for word in theirs)]
    return [*(f"not hidden: {name}" for name in lost), *(f"hidden: {name}" for name in theirs if not sensitive(name))]


def main() -> int:
    signal.signal(signal.SIGTERM, lambda *_: sys.exit("stopped"))  # so that the servers are stopped too
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("versions", nargs="*", metavar="VERSION", help="of " + ", ".join(VERSIONS))
    parser.add_argument("--target", action="append", help="run only this folder of tests/integration/targets")
    given = parser.parse_args()
    chosen = given.versions or list(VERSIONS)
    covered = targets()
    if untested := set(group()) - set().union(*covered.values()):
        raise SystemExit(f"no target runs {', '.join(sorted(untested))}")
    said: dict[str, dict[str, str]] = {version: {} for version in chosen}
    found: dict[str, dict[str, list[str]]] = {}
    differing: list[str] = []
    with postgres() as database:
        for version in chosen:
            logs = CACHE / "logs" / version
            logs.mkdir(parents=True, exist_ok=True)
            programs = release(version, VERSIONS[version])
            differing += [f"{version}: {text}" for text in names(version, programs)]
            with airflow(version, programs, database, logs) as one:
                found[version] = leaks.measure(one, database)
                for target in given.target or covered:
                    if target != "teams":
                        said[version].update(tried(one, target, covered[target], logs, said[version]))
            if version in TEAMS and "teams" in (given.target or covered):
                with airflow(version, programs, database, logs, teams=True) as one:
                    said[version].update(tried(one, "teams", covered["teams"], logs, said[version]))
    works = table(
        ["module", *chosen],
        [[f"`{module}`", *(said[version].get(module, "not run") for version in chosen)] for module in group()],
    )
    shows = table(
        ["readable in the audit log, of what comes by", *chosen],
        [[way, *(", ".join(found[version][way]) or "nothing" for version in chosen)] for way in leaks.WAYS],
    )
    print(works, shows, sep="\n")
    leaking = [(v, what) for v in chosen for what in found[v][leaks.WAYS[-1]] if what in leaks.SECRET_NAMES]
    for version, what in leaking:
        print(f"FAILED  {version}: our modules leave a {what} readable in the audit log")
    for text in differing:
        print(f"FAILED  _masks.py has other names than {text}")
    whole = chosen == list(VERSIONS) and not given.target
    stale = whole and not all(t in (ROOT / "docs/modules.md").read_text() for t in (works, shows))
    if stale:
        print("FAILED  docs/modules.md has other tables")
    fails = any("**fails**" in each.values() for each in said.values())
    return 1 if leaking or stale or fails or differing else 0


if __name__ == "__main__":
    sys.exit(main())
