"""Time the module `resources` against Airflow's CLI and a loop of ansible.builtin.uri, on one Airflow on a new VM.

`make bench-resources` runs it: ROUNDS rounds (3), each with fresh secrets and a restarted api-server, on the
api-server as this collection configures it ("ours") and as Airflow comes ("stock"). Medians, as a Markdown table.
"""

from __future__ import annotations

import json
import os
import resource
import secrets
import shlex
import statistics
import subprocess
import sys
import tempfile
import time
from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from bench import HERE, INVENTORY, ROOT, play

sys.path.insert(0, str(ROOT / ".collections"))
import yaml
from ansible_collections.windward.airflow.plugins.module_utils._client import Client
from ansible_collections.windward.airflow.plugins.module_utils._local_vm import ssh_args, state_dir

ADDRESS = yaml.safe_load((INVENTORY / "hosts.yml").read_text())["airflow"]["children"]["airflow_api_server"]["hosts"][
    "bench-ours"
]["ansible_host"]
URL = f"http://{ADDRESS}:8080"
SERVERS = {"ours": {}, "stock": {"airflow_config": {"logging": {"min_length_masked_secret": 5}}}}
MANY, MEASURED_ADDS, MEASURED_POSTS = 1000, 10, 50
Figures = dict[str, list[float]]


def vm(script: str) -> str:
    """Run a script on the VM as root."""
    done = subprocess.run(
        ["ssh", *shlex.split(ssh_args(state_dir(os.environ))), f"ansible@{ADDRESS}", "sudo", "bash", "-es"],
        input=script, capture_output=True, text=True, check=False,
    )
    if done.returncode:
        sys.exit(f"{script}\nended with {done.returncode}:\n{done.stdout[-3000:]}\n{done.stderr[-3000:]}")
    return done.stdout


def connections(number: int) -> list[dict[str, Any]]:
    """Connections with two fresh secrets each."""
    return [
        {
            "connection_id": f"bench_{index}", "conn_type": "postgres", "host": f"db{index}.example.org", "port": 5432,
            "login": "etl", "schema": "sales", "password": secrets.token_hex(16),
            "extra": {"sslmode": "verify-full", "api_token": secrets.token_hex(16)},
        }
        for index in range(number)
    ]  # fmt: skip


def everything() -> dict[str, Any]:
    return {
        "connections": connections(MANY),
        "variables": [{"key": f"bench_{index}", "value": f"value {index}"} for index in range(MANY)],
        "pools": [{"name": f"bench_{index}", "slots": index} for index in range(100)],
    }


@contextmanager
def data(content: Any) -> Iterator[Path]:
    with tempfile.NamedTemporaryFile("w", suffix=".json") as file:
        json.dump(content, file)
        file.flush()
        yield Path(file.name)


def empty() -> None:
    """A restarted api-server, which knows no secret yet, in front of an Airflow without any object of ours."""
    vm("""
        sudo -u postgres psql -q airflow <<'END'
        delete from connection where conn_id like 'bench_%';
        delete from variable where key like 'bench_%' or key like 'windward_fingerprints_%';
        delete from slot_pool where pool like 'bench_%';
END
        systemctl restart airflow-api-server
        systemctl is-active --quiet airflow-api-server
    """)
    log_in = {"username": "admin", "password": os.environ["AIRFLOW_API_PASSWORD"]}
    with Client(URL, **log_in, retry_timeout=120) as client:
        client.get("/api/v2/version")  # waits for it
        os.environ["AIRFLOW_API_TOKEN"] = client.request("POST", "/auth/token", body=log_in)["access_token"]


def processor() -> float:
    """Seconds of processor time that the api-server has used."""
    script = "main=$(systemctl show --property=MainPID --value airflow-api-server); echo $main; pgrep -P $main || true"
    stats = [vm(f"cat /proc/{process}/stat").rpartition(")")[2].split() for process in vm(script).split()]
    return sum(int(ticks) for stat in stats for ticks in stat[11:13]) / os.sysconf("SC_CLK_TCK")


def task(tag: str, content: Any) -> tuple[float, float, str]:
    """The whole process of ansible-playbook with one task: its seconds, its processor time, and what it said."""
    with data(content) as file:
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        seconds, said = play("tests/benchmarks/resources.yml", "-i", "localhost,", "--tags", tag, "-e", f"@{file}")
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return seconds, after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime, said


def module(content: Any) -> dict[str, float]:
    """The module alone, without Ansible."""
    options = {**content, "fingerprint_key": "a-key-of-the-benchmark"}
    environment = {**os.environ, "PYTHONPATH": str(ROOT / ".collections")}
    done = subprocess.run(
        [sys.executable, str(HERE / "module.py")], input=json.dumps(options), env=environment, capture_output=True,
        text=True, check=True,
    )
    return json.loads(done.stderr)


def cli(found: Figures) -> None:
    """Airflow's own commands. They don't ask the api-server, so one server is enough."""
    empty()
    adds = connections(MEASURED_ADDS)
    options = [
        ("--conn-type", one["conn_type"], "--conn-host", one["host"], "--conn-port", str(one["port"]), "--conn-login",
         one["login"], "--conn-schema", one["schema"], "--conn-password", one["password"], "--conn-extra",
         json.dumps(one["extra"]))
        for one in adds
    ]  # fmt: skip
    lines = [shlex.join(["airflow", "connections", "add", one["connection_id"], *words]) + " >/dev/null 2>&1"
             for one, words in zip(adds, options, strict=True)]  # fmt: skip
    started = time.monotonic()
    vm("\n".join(lines))
    found["a loop of `airflow connections add`"].append((time.monotonic() - started) / MEASURED_ADDS * MANY)
    empty()
    listed = {one["connection_id"]: {k: v for k, v in one.items() if k != "connection_id"} for one in connections(MANY)}
    path = "/opt/airflow/bench.json"
    vm(f"cat > {path} <<'END'\n{json.dumps(listed)}\nEND\nchmod 644 {path}")
    started = time.monotonic()
    vm(f"airflow connections import {path} >/dev/null 2>&1")
    found["`airflow connections import`"].append(time.monotonic() - started)
    vm(f"rm {path}")


def ours(server: str, found: Figures) -> None:
    def add(name: str, value: float) -> None:
        found[f"{name} ({server})"].append(value)

    empty()
    seconds, _used, _said = task("uri", {"connections": connections(MEASURED_POSTS)})
    idle, used, _said = task("none", {})
    add("a play without a task", idle)
    add("processor time of it", used)
    add("a loop of `ansible.builtin.uri`", idle + (seconds - idle) / MEASURED_POSTS * MANY)

    def both(name: str, content: Any, changed: int) -> tuple[float, float]:
        """Run the one task; note what it took, and the processor time on both sides, which load doesn't lengthen."""
        before = processor()
        seconds, used, said = task("resources", content)
        server = processor() - before
        assert f"changed={changed}" in said, said
        add(name, seconds)
        add(f"{name}: processor time of ansible-playbook", used)
        add(f"{name}: processor time of the api-server", server)
        return seconds, server

    empty()
    seconds, server_used = both("create 1000 connections", {"connections": connections(MANY)}, changed=1)
    add("create 1000 connections: without the api-server's processor time", seconds - server_used)

    empty()
    declared = everything()
    both("create 1000 connections, 1000 variables, 100 pools", declared, changed=1)
    both("apply them again, unchanged", declared, changed=0)
    spent = module(declared)
    add("module time outside HTTP and Ansible, unchanged", spent["own"])
    add("Ansible's own in the module, unchanged", spent["ansible"])

    empty()
    spent = module({"connections": connections(MANY)})
    add("module time outside HTTP and Ansible, 1000 connections created", spent["own"])
    if server == "ours":
        empty()
        both("create 10,000 connections", {"connections": connections(10 * MANY)}, changed=1)
        empty()
        add("memory of the module for 10,000, MiB", module({"connections": connections(10 * MANY)})["memory"])


def main() -> None:
    rounds = int(os.environ.get("ROUNDS", "3"))
    figures: Figures = defaultdict(list)
    os.environ.update(AIRFLOW_API_URL=URL, AIRFLOW_API_USERNAME="admin")
    for server, variables in SERVERS.items():
        print(f"{server}: deploying", file=sys.stderr, flush=True)
        play("site.yml", "-e", json.dumps(variables))
        os.environ["AIRFLOW_API_PASSWORD"] = json.loads(vm("cat /etc/airflow/secrets.json"))["admin_password"]
        for number in range(rounds):
            print(f"{server}: round {number + 1} of {rounds}", file=sys.stderr, flush=True)
            if server == "ours":
                cli(figures)
            ours(server, figures)
    play("tests/benchmarks/vms.yml", "-e", "tasks_from=absent")
    print(f"| what | median of {rounds}, s | all |\n|---|---|---|")
    for name, values in figures.items():
        print(f"| {name} | {statistics.median(values):.2f} | {', '.join(f'{value:.2f}' for value in values)} |")
    middle = {name: statistics.median(values) for name, values in figures.items()}
    create = middle["create 1000 connections (ours)"]
    print("\n| ratio | ours | stock |\n|---|---|---|")
    for rival in ("a loop of `airflow connections add`", "`airflow connections import`"):
        stock = middle["create 1000 connections (stock)"]
        print(f"| {rival} / create 1000 connections | {middle[rival] / create:.1f} | {middle[rival] / stock:.1f} |")
    for name, other in (
        ("a loop of `ansible.builtin.uri`", "create 1000 connections"),
        ("create 1000 connections, 1000 variables, 100 pools", "apply them again, unchanged"),
    ):
        both = [middle[f"{name} ({server})"] / middle[f"{other} ({server})"] for server in SERVERS]
        print(f"| {name} / {other} | {both[0]:.1f} | {both[1]:.1f} |")
    print(f"| create 10,000 / create 1000 connections | {middle['create 10,000 connections (ours)'] / create:.1f} | |")


if __name__ == "__main__":
    main()
