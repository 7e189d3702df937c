# Copyright: (c) 2026, Windward contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""The real servers that the tests of images need, all of them on loopback or at a socket of their own."""

from __future__ import annotations

import base64
import datetime
import json
import os
import shutil
import socket
import subprocess
import tarfile
import threading
import time
import urllib.request
import uuid
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import jwt
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

CACHE = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "windward.airflow"
REGISTRY = CACHE / "registry" / "usr" / "bin" / "docker-registry"
CONTAINERDS = {"1.7": CACHE / "kind-bed" / "engine" / "usr" / "bin", "2": CACHE / "registry" / "containerd2"}
PATIENCE = 120  # seconds for what takes one where nothing else runs
# The password that the stand-in for ECR gives out, and what the registry keeps of it.
ECR_LOGIN = ("AWS", "123456789012-auth-token")
HTPASSWD = "AWS:$2b$04$abcdefghijklmnopqrstuu/cMn6kFoLFEf9ShbIPSVtJoiKQtizZG\n"


def free_port() -> int:
    with socket.socket() as holder:
        holder.bind(("127.0.0.1", 0))
        return int(holder.getsockname()[1])


def with_libraries(programs: dict[Path, str]) -> dict[Path, str]:
    """Programs and where they are to stand, and the libraries that they need."""
    wanted = dict(programs)
    for program in programs:
        said = subprocess.run(["ldd", str(program)], capture_output=True, text=True, check=True).stdout
        wanted |= {Path(word): word.lstrip("/") for word in said.split() if word.startswith("/")}
    return wanted


class Process:
    def __init__(self, command: list[str], log: Path) -> None:
        self.log = log
        with log.open("ab") as stream:
            self.process = subprocess.Popen(command, stdout=stream, stderr=stream, start_new_session=True)

    def stop(self) -> None:
        self.process.terminate()
        try:
            self.process.wait(PATIENCE)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()


class DockerRegistry(Process):
    """Debian's docker-registry; several can serve one directory, each with a log-in of its own kind."""

    def __init__(self, data: Path, work: Path, name: str, auth: dict[str, Any] | None = None) -> None:
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        config = {
            "version": "0.1",
            "log": {"level": "info", "formatter": "json", "accesslog": {"disabled": True}},
            "storage": {"filesystem": {"rootdirectory": str(data)}, "delete": {"enabled": True}},
            "http": {"addr": f"127.0.0.1:{self.port}", "secret": "of-the-tests"},
            **({"auth": auth} if auth else {}),
        }
        (work / f"{name}.yml").write_text(json.dumps(config))
        super().__init__([str(REGISTRY), "serve", str(work / f"{name}.yml")], work / f"{name}.log")
        deadline = time.monotonic() + PATIENCE
        while True:
            try:
                urllib.request.urlopen(f"{self.url}/v2/", timeout=20).close()
                return
            except urllib.error.HTTPError as answer:
                answer.close()
                return
            except OSError:
                assert time.monotonic() < deadline and self.process.poll() is None, self.log.read_text()
                time.sleep(0.05)

    def written(self, since: int = 0) -> int:
        """Bytes of blobs in its answers, by its own log, from that line on."""
        rows = [json.loads(line) for line in self.log.read_text().splitlines()[since:] if line.startswith("{")]
        return sum(
            row.get("http.response.written", 0)
            for row in rows
            if row.get("msg") == "response completed" and row["http.request.method"] == "GET"
            and "/blobs/" in row["http.request.uri"]
        )

    def lines(self) -> int:
        return len(self.log.read_text().splitlines())


class TokenServer:
    """Gives tokens that the registry checks by a key, to those who know the password."""

    LOGIN = ("reader", "pw-of-the-reader")

    def __init__(self, work: Path) -> None:
        key = ec.generate_private_key(ec.SECP256R1())
        name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "tokens")])
        now = datetime.datetime.now(datetime.UTC)
        certificate = (
            x509.CertificateBuilder().subject_name(name).issuer_name(name).public_key(key.public_key())
            .serial_number(1).not_valid_before(now - datetime.timedelta(hours=1))
            .not_valid_after(now + datetime.timedelta(days=1)).sign(key, hashes.SHA256())
        )  # fmt: skip
        self.bundle = work / "tokens.pem"
        self.bundle.write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
        chain = base64.b64encode(certificate.public_bytes(serialization.Encoding.DER)).decode()
        self.asked: list[dict[str, str]] = []
        self.seconds, self.grants = 300, True
        server = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                query = {key: values[0] for key, values in parse_qs(urlsplit(self.path).query).items()}
                server.asked.append({**query, "login": self.headers.get("Authorization", "")})
                wanted = "Basic " + base64.b64encode(":".join(server.LOGIN).encode()).decode()
                right = self.headers.get("Authorization") == wanted
                body = json.dumps({"token": token(query), "expires_in": server.seconds} if right else {}).encode()
                self.send_response(200 if right else 401)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *_args: object) -> None:
                pass

        def token(query: dict[str, str]) -> str:
            kind, repository, actions = query["scope"].split(":")
            start = int(time.time())
            claims = {
                "iss": "tests", "sub": self.LOGIN[0], "aud": query["service"], "nbf": start - 5, "iat": start,
                "exp": start + 300, "jti": str(len(self.asked)),
                "access": [{"type": kind, "name": repository, "actions": actions.split(",")}] if self.grants else [],
            }  # fmt: skip
            return jwt.encode(claims, key, "ES256", headers={"x5c": [chain]})

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self._server.server_port}/token"
        threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True).start()

    @property
    def auth(self) -> dict[str, Any]:
        """The registry's side of it."""
        own = {"realm": self.url, "service": "registry-of-the-tests", "issuer": "tests"}
        return {"token": {**own, "rootcertbundle": str(self.bundle)}}

    def stop(self) -> None:
        self._server.shutdown()
        self._server.server_close()


class Containerd(Process):
    """A node, without a kubelet. Its own directory holds everything that it has, its socket too."""

    def __init__(self, version: str, directory: Path) -> None:
        self.programs, self.directory, self.socket = CONTAINERDS[version], directory, directory / "sock"
        directory.mkdir(exist_ok=True)
        config = directory / "config.toml"
        config.write_text(f"""version = 2
root = "{directory}/root"
state = "{directory}/state"
[grpc]
  address = "{self.socket}"
[ttrpc]
  address = "{directory}/ttrpc"
[plugins."io.containerd.grpc.v1.cri"]
  disable_tcp_service = true
""")
        self.ctr_program = str(self.programs / "ctr")
        # Its shim and runc, whichever version it is itself.
        path = f"PATH={CONTAINERDS['1.7']}:{os.environ['PATH']}"
        super().__init__(["env", path, str(self.programs / "containerd"), "-c", str(config)], directory / "log")
        deadline = time.monotonic() + PATIENCE
        while subprocess.run(self.command("version"), capture_output=True, check=False, timeout=PATIENCE).returncode:
            assert time.monotonic() < deadline and self.process.poll() is None, self.log.read_text()[-2000:]
            time.sleep(0.1)

    def command(self, *words: str) -> list[str]:
        return [self.ctr_program, "-a", str(self.socket), "-n", "k8s.io", *words]

    def ctr(self, *words: str) -> str:
        done = subprocess.run(self.command(*words), capture_output=True, text=True, check=False, timeout=60)
        assert not done.returncode, done.stderr
        return done.stdout

    @property
    def options(self) -> dict[str, str]:
        """How the module finds it."""
        return {"address": str(self.socket), "ctr": self.ctr_program}

    def images(self) -> dict[str, tuple[str, str]]:
        """Name -> digest and labels, of what has one of ours."""
        rows = [line.split() for line in self.ctr("images", "ls").splitlines()[1:]]
        return {row[0]: (row[2], row[-1]) for row in rows if not row[0].startswith("sha256:")}

    def content(self) -> set[str]:
        return set(self.ctr("content", "ls", "-q").split())

    def unpacked(self, name: str) -> bool:
        """By containerd's own judgement."""
        row = self.ctr("images", "check", f"name=={name}").splitlines()[1].split()
        return "complete" in row and row[-1] == "true"

    def empty(self) -> None:
        if names := self.ctr("images", "ls", "-q").split():
            self.ctr("images", "rm", "--sync", *names)
        deadline = time.monotonic() + PATIENCE
        while self.content():
            # What was never referenced waits for the collector, which a removal wakes.
            self.ctr("content", "rm", *self.content())
            assert time.monotonic() < deadline


class Engine(Process):
    """A Docker engine of the tests' own, without a network, and containers in it that are nodes as Kind's are."""

    CLUSTER = "of-the-tests"

    def __init__(self, directory: Path) -> None:
        directory.mkdir()
        # Where a person has buildx, and may have a log-in.
        self.config = directory / "config"
        self.config.mkdir()
        plugins = [str(REGISTRY.parents[1] / "libexec" / "docker" / "cli-plugins")]
        (self.config / "config.json").write_text(json.dumps({"cliPluginsExtraDirs": plugins}))
        self.socket, self.directory = directory / "sock", directory
        engine = CACHE / "kind-bed" / "engine" / "usr"
        # For what it starts itself.
        self._environment = {
            **os.environ, "PATH": f"{engine}/sbin:{engine}/bin:{REGISTRY.parent}:{os.environ['PATH']}",
            "DOCKER_CONFIG": str(self.config),
        }  # fmt: skip
        # Nobody is at it. But an engine that is told to have none removes docker0, which is another engine's.
        self.bridge = f"tests-{uuid.uuid4().hex[:8]}"
        for words in ("link add {} type bridge", "address add 192.0.2.1/24 dev {}"):
            subprocess.run(["ip", *words.format(self.bridge).split()], check=True)
        super().__init__([
            "env", f"PATH={self._environment['PATH']}", str(engine / "sbin" / "dockerd"), "--host", self.host,
            "--data-root", f"{directory}/data", "--exec-root", f"{directory}/exec", "--pidfile", f"{directory}/pid",
            "--bridge", self.bridge, "--iptables=false", "--ip6tables=false", "--ip-forward=false", "--ip-masq=false",
        ], directory / "log")  # fmt: skip
        deadline = time.monotonic() + PATIENCE
        while subprocess.run(self._docker("info"), capture_output=True, check=False, env=self._environment).returncode:
            assert time.monotonic() < deadline and self.process.poll() is None, self.log.read_text()[-2000:]
            time.sleep(0.2)
        self._import(engine / "bin")

    @property
    def host(self) -> str:
        return f"unix://{self.socket}"

    def _docker(self, *words: str) -> list[str]:
        return ["docker", "--host", self.host, *words]

    def docker(self, *words: str) -> str:
        done = subprocess.run(
            self._docker(*words), capture_output=True, text=True, check=False, env=self._environment, timeout=300
        )
        assert not done.returncode, done.stderr
        return done.stdout

    def _import(self, programs: Path) -> None:
        """An image of containerd, a shell, the pigz of Kind's nodes, and the libraries that they need."""
        root = self.directory / "root"
        wanted = {programs / "containerd": "bin/containerd", programs / "ctr": "bin/ctr"}
        wanted |= {REGISTRY.parent / "pigz": "bin/unpigz"}  # containerd unpacks with it
        wanted |= {Path(shutil.which(name) or ""): f"bin/{name}" for name in ("sh", "uname", "mkdir", "rm")}
        for source, name in with_libraries(wanted).items():
            (root / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(source, root / name)
        (root / "tmp").mkdir()
        archive = self.directory / "root.tar"
        with tarfile.open(archive, "w") as whole:
            whole.add(root, "/")
        self.docker("import", str(archive), "node")

    def run(self, name: str, role: str = "worker", *more: str) -> None:
        self.docker(
            "run", "--detach", "--privileged", "--network", "none", "--name", name, "--volume", "/var/lib/containerd",
            *more, "--label", f"io.x-k8s.kind.cluster={self.CLUSTER}", "--label", f"io.x-k8s.kind.role={role}", "node",
            "/bin/containerd",
        )  # fmt: skip

    def ctr(self, name: str, *words: str) -> str:
        return self.docker("exec", name, "ctr", "-n", "k8s.io", *words)

    def stop(self) -> None:
        if names := self.docker("ps", "-aq").split():
            self.docker("rm", "-fv", *names)
        super().stop()
        subprocess.run(["ip", "link", "delete", self.bridge], check=True)
