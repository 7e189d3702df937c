# Copyright: (c) 2026, Windward contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""A PostgreSQL and an Airflow of a given version, on loopback ports and in folders of their own, while needed."""

from __future__ import annotations

import base64
import contextlib
import json
import os
import secrets
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
CACHE = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "windward.airflow/matrix"
LOCKS = ROOT / "roles/systemd/files/locks"
COMPONENTS = ("api-server", "scheduler", "dag-processor", "triggerer")
TEAM = "sailors"


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listening:
        return int(listening.getsockname()[1])


def release(version: str, cut: str | None) -> Path:
    """The folder of the programs of a version: of our own lock, else of the index as it was at `cut`."""
    folder = CACHE / version
    if (folder / "complete").exists():
        return folder / "bin"
    lock = LOCKS / version / "requirements.txt"
    if cut:
        what = ["--exclude-newer", cut, f"apache-airflow[fab,postgres]=={version}"]
    else:
        what = ["--no-deps", "--require-hashes", "-r", str(lock)]
    uv = str(Path(sys.executable).with_name("uv"))
    subprocess.run([uv, "venv", "--quiet", "--clear", "--python", sys.executable, str(folder)], check=True)
    subprocess.run(
        [uv, "pip", "install", "--quiet", "--compile-bytecode", "--python", str(folder / "bin/python"), *what],
        check=True,
    )
    (folder / "complete").touch()
    return folder / "bin"


@contextlib.contextmanager
def process(command: list[str], log: Path, stop: signal.Signals = signal.SIGTERM, **more: object) -> Iterator[None]:
    with log.open("ab") as stream:
        started = subprocess.Popen(  # type: ignore[call-overload]
            command, stdin=subprocess.DEVNULL, stdout=stream, stderr=stream, start_new_session=True, **more
        )
    try:
        yield
        if started.poll() is not None:
            raise RuntimeError(f"{command[-1]} ended by itself: see {log}")
    finally:
        started.send_signal(stop)
        try:
            started.wait(30)
        except subprocess.TimeoutExpired:
            os.killpg(started.pid, signal.SIGKILL)
            started.wait()


@dataclass
class Postgres:
    port: int
    password: str
    programs: Path

    def sql(self, statement: str, database: str = "postgres") -> str:
        command = [str(self.programs / "psql"), "-XAtq", "-v", "ON_ERROR_STOP=1", "-h", "127.0.0.1",
                   "-p", str(self.port), "-U", "airflow", database]  # fmt: skip
        environment = {**os.environ, "PGPASSWORD": self.password}
        done = subprocess.run(command, input=statement, env=environment, check=True, capture_output=True, text=True)
        return done.stdout


@contextlib.contextmanager
def postgres() -> Iterator[Postgres]:
    """Debian's newest, run by an ordinary user: it refuses root."""
    found = sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"), key=lambda path: int(path.parts[-3]))
    if not found:
        raise SystemExit("There is no PostgreSQL here: apt-get install postgresql")
    user = {"user": "postgres", "group": "postgres", "extra_groups": []} if os.getuid() == 0 else {}
    one = Postgres(free_port(), secrets.token_hex(16), found[-1].parent)
    home = Path(tempfile.mkdtemp(prefix="windward-matrix-pg-"))
    try:
        secret = home / "password"
        secret.touch(0o600)
        secret.write_text(one.password)
        if user:
            shutil.chown(home, "postgres", "postgres")
            shutil.chown(secret, "postgres", "postgres")
        data, log = home / "data", home / "log"
        subprocess.run(
            [one.programs / "initdb", "-D", data, "-U", "airflow", "-E", "UTF8", "--locale=C.UTF-8", "--no-sync",
             "--auth=scram-sha-256", f"--pwfile={secret}"],
            cwd=home, check=True, stdout=subprocess.DEVNULL, **user,  # type: ignore[call-overload]
        )  # fmt: skip
        settings = {"listen_addresses": "127.0.0.1", "port": one.port, "unix_socket_directories": "", "fsync": "off"}
        options = [word for name, value in settings.items() for word in ("-c", f"{name}={value}")]
        server = [str(one.programs / "postgres"), "-D", str(data), *options]
        with process(server, log, signal.SIGINT, cwd=home, **user):
            wait(lambda: one.sql("select 1") == "1\n", 30, f"PostgreSQL ({log})")
            yield one
    finally:
        shutil.rmtree(home)


@dataclass
class Airflow:
    version: str
    url: str
    password: str
    database: str
    team: str


@contextlib.contextmanager
def airflow(
    version: str, programs: Path, database: Postgres, logs: Path, teams: bool = False
) -> Iterator[Airflow]:
    """All components but workers, with FAB's users, a DAG bundle of dags/, and a person named admin.

    With teams, an api-server alone, one team, and the simple auth manager's users: FAB's knows no teams."""
    name = f"airflow_{version.replace('.', '_')}{'_teams' if teams else ''}"
    database.sql(f"create database {name}")
    url = f"http://127.0.0.1:{(port := free_port())}"
    one = Airflow(version, url, secrets.token_hex(16), name, TEAM if teams else "")
    bundle = {"name": "matrix", "classpath": "matrix_bundle.MatrixBundle", "kwargs": {"path": str(ROOT / "dags")}}
    with tempfile.TemporaryDirectory(prefix="windward-matrix-") as home:
        settings = {
            "core.auth_manager": "airflow.providers.fab.auth_manager.fab_auth_manager.FabAuthManager",
            "core.executor": "LocalExecutor",
            "core.execution_api_server_url": f"{one.url}/execution/",
            "core.fernet_key": base64.urlsafe_b64encode(secrets.token_bytes(32)).decode(),
            "core.load_examples": "False",
            "core.multi_team": str(teams),
            "core.test_connection": "Enabled",
            "core.parallelism": "2",
            "database.sql_alchemy_conn":
                f"postgresql+psycopg2://airflow:{database.password}@127.0.0.1:{database.port}/{name}",
            "api.base_url": one.url,
            "api.host": "127.0.0.1",
            "api.port": str(port),
            "api.secret_key": secrets.token_hex(32),
            "api.workers": "1",
            "api_auth.jwt_secret": secrets.token_hex(64),
            "dag_processor.dag_bundle_config_list": json.dumps([bundle]),
            "dag_processor.min_file_process_interval": "5",
            "logging.base_log_folder": f"{home}/logs",
            "logging.trigger_log_server_port": str(free_port()),
            "logging.worker_log_server_port": str(free_port()),
        }  # fmt: skip
        environment = {
            **{k: v for k, v in os.environ.items() if not k.startswith(("AIRFLOW", "PYTHONDONTWRITEBYTECODE"))},
            **{"AIRFLOW__" + key.upper().replace(".", "__"): value for key, value in settings.items()},
            "AIRFLOW_HOME": home,
            "PATH": f"{programs}:{os.environ['PATH']}",
            "PYTHONPATH": str(Path(__file__).parent),
        }
        if teams:
            manager = "airflow.api_fastapi.auth.managers.simple.simple_auth_manager.SimpleAuthManager"
            environment |= {
                "AIRFLOW__CORE__AUTH_MANAGER": manager,
                "AIRFLOW__CORE__SIMPLE_AUTH_MANAGER_USERS": f"admin:admin:{TEAM}",
            }
            passwords = Path(home) / "simple_auth_manager_passwords.json.generated"
            passwords.touch(0o600)
            passwords.write_text(json.dumps({"admin": one.password}))

        def run(*words: str, answers: str = "") -> None:
            log = logs / f"{words[0]}-{words[1]}.log"
            done = subprocess.run(
                [programs / "airflow", *words], env=environment, cwd=home, check=False, input=answers, text=True,
                stdout=log.open("w"), stderr=subprocess.STDOUT, start_new_session=True,
            )  # fmt: skip
            if done.returncode:
                raise RuntimeError(f"airflow {' '.join(words[:2])} of {version} failed: see {log}")

        run("db", "migrate")
        if teams:
            run("teams", "create", TEAM)
        else:  # the password is asked for, twice, so it is on no command line
            run("users", "create", "-u", "admin", "-f", "A", "-l", "B", "-r", "Admin", "-e", "admin@example.org",
                answers=f"{one.password}\n" * 2)  # fmt: skip
        with contextlib.ExitStack() as running:
            for component in COMPONENTS[:1] if teams else COMPONENTS:
                command = [str(programs / "airflow"), component]
                running.enter_context(process(command, logs / f"{component}.log", env=environment, cwd=home))
            wait(lambda: healthy(one.url, whole=not teams), 600, f"Airflow {version} ({logs})")
            yield one


def healthy(url: str, whole: bool) -> bool:
    with urllib.request.urlopen(f"{url}/api/v2/monitor/health", timeout=5) as answer:
        return all(part["status"] == "healthy" for part in json.load(answer).values()) or not whole


def wait(ready: object, seconds: float, what: str) -> None:
    end = time.monotonic() + seconds
    while True:
        try:
            if ready():  # type: ignore[operator]
                return
        except (OSError, subprocess.CalledProcessError):
            pass
        if time.monotonic() > end:
            raise RuntimeError(f"{what} was not ready after {seconds} s")
        time.sleep(0.3)
