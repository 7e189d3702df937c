# Copyright: (c) 2026, Windward contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Kind clusters: how this computer is looked at and changed, by `kind` and by the same `docker` that kind uses.

Private to this collection.
"""

from __future__ import annotations

import contextlib
import fcntl
import io
import json
import os
import re
import shutil
import socket
import subprocess
import tarfile
import time
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

try:
    import yaml
except ImportError:  # the module says so
    yaml = None  # type: ignore[assignment]

from . import _kind as kd
from ._kind import Cluster, Engine, KindError, Node
from ._kubernetes_api import Api, KubernetesError
from ._local_vm_host import foreign, read

CONTROL_PLANE_CONF = "/kind/kubeadm.conf"
# $1 and $2 are the addresses of the API and of the name service, as pods see them. Only the right servers have that
# certificate and that metric: whatever else answers at these addresses is not believed.
SERVICES = r"""
curl -sSf --max-time 4 -o /dev/null --cacert /etc/kubernetes/pki/ca.crt "https://$1:443/readyz" || exit 1
curl -sSf --max-time 4 "http://$2:9153/metrics" | grep -q coredns_build_info
"""


def run(*command: str, stdin: str = "", check: bool = True) -> subprocess.CompletedProcess:
    """Runs a command that does not outlive this process, so that none goes on while the next run repairs."""
    guard = ("setpriv", "--pdeathsig", "KILL") if shutil.which("setpriv") else ()
    done = subprocess.run(
        (*guard, *command), input=stdin.encode(), capture_output=True, check=False, env={**os.environ, "LANG": "C"}
    )
    if check and done.returncode:
        said = (done.stderr or done.stdout).decode(errors="replace").strip().splitlines()
        said = [line for line in said if not re.match(r"I\d{4} ", line)][-15:]  # Kubernetes' chatter has its own mark
        raise KindError(f"{Path(command[0]).name} {command[1]} failed ({done.returncode}): " + "\n".join(said))
    return done


def text(done: subprocess.CompletedProcess) -> str:
    return done.stdout.decode(errors="replace")


def engine() -> Engine:
    """What can be known of Docker without a container."""
    if not shutil.which("docker"):
        return Engine(docker=False)
    info = run("docker", "info", "--format", "{{json .}}", check=False)
    known = json.loads(text(info) or "{}") if not info.returncode else {}
    if info.returncode or known.get("ServerErrors"):
        said = known.get("ServerErrors") or info.stderr.decode(errors="replace").strip().splitlines()[-1:]
        return Engine(problem=" ".join(said))
    free = 1 << 30
    with contextlib.suppress(OSError):  # an engine elsewhere has a directory that is not here
        space = os.statvfs(known["DockerRootDir"])
        free = space.f_bavail * space.f_frsize >> 20
    inotify = [read(f"/proc/sys/fs/inotify/max_user_{name}") for name in ("instances", "watches")]
    return Engine(
        cgroup=str(known.get("CgroupVersion", "2")),
        free_mb=free,
        inotify_instances=int(inotify[0] or 1 << 30),
        inotify_watches=int(inotify[1] or 1 << 30),
        nodes=tuple(text(run("docker", "ps", "--format", f'{{{{.Label "{kd.CLUSTER_LABEL}"}}}}')).split()),
    )


def kubeconfig(state_dir: str, name: str) -> Path:
    return Path(state_dir) / "kind" / name / "kubeconfig"


class Kind:
    """One declared cluster. The steps that _kind.plan() names are methods."""

    def __init__(self, options: Mapping[str, Any]) -> None:
        self.kubeconfig = kubeconfig(options["state_dir"], options["name"])
        self.directory = self.kubeconfig.parent
        self.mirrors = self.directory / "certs.d"
        self.mark = self.directory / "unfinished"
        self.cluster = Cluster.of(options, str(self.mirrors))
        self.name, self.timeout, self.program = options["name"], options["timeout"], options["kind"]
        self.merge = options["merge_kubeconfig"]

    @contextlib.contextmanager
    def locked(self) -> Iterator[None]:
        """One run at a time. What is locked is the directory of all clusters, so that a refused run leaves nothing."""
        self.directory.parent.mkdir(parents=True, exist_ok=True)
        lock = os.open(self.directory.parent, os.O_RDONLY)
        try:
            fcntl.flock(lock, fcntl.LOCK_EX)
            yield
        finally:
            os.close(lock)

    def prepare(self) -> None:
        """The kubeconfig is the operator's alone. Docker would make a directory that is mounted, as root's."""
        self.directory.mkdir(mode=0o700, exist_ok=True)
        self.mirrors.mkdir(exist_ok=True)

    # What there is.

    def taken(self) -> dict[kd.Port, str]:
        """Declared ports that somebody has."""
        found = {}
        for port in {port for node in self.cluster.nodes.values() for port in node.ports if port.protocol == "TCP"}:
            family = socket.AF_INET6 if ":" in port.address else socket.AF_INET
            with socket.socket(family) as probe:
                probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
                try:
                    probe.bind((port.address, port.host))
                except OSError:
                    found[port] = foreign(port.host)
        return found

    def see(self) -> dict[str, Node]:
        """The nodes of this name, ours or not, running or not."""
        listed = run("docker", "ps", "--all", "--quiet", "--filter", f"label={kd.CLUSTER_LABEL}={self.name}")
        ids = text(listed).split()
        if not ids:
            return {}
        containers = json.loads(text(run("docker", "inspect", *ids)))
        return {one["Name"].lstrip("/"): kd.found(one, self.kubeadm(one["Id"])) for one in containers}

    def kubeadm(self, container: str) -> list[Any]:
        """What kind wrote for kubeadm, also of a container that is stopped."""
        done = run("docker", "cp", f"{container}:{CONTROL_PLANE_CONF}", "-", check=False)
        if done.returncode:
            return []
        with tarfile.open(fileobj=io.BytesIO(done.stdout)) as archive:
            member = archive.extractfile(archive.next() or tarfile.TarInfo())
            return list(yaml.safe_load_all(member.read() if member else b""))

    def stale_mirrors(self) -> list[str]:
        wanted = self.cluster.mirror_files
        there = {str(path.relative_to(self.mirrors)) for path in self.mirrors.glob("*/hosts.toml")}
        return sorted(name for name in {*wanted, *there} if wanted.get(name, "") != read(self.mirrors / name))

    # Steps.

    def set_mirrors(self) -> None:
        """containerd reads them whenever it pulls: nothing is restarted."""
        wanted = self.cluster.mirror_files
        for name in self.stale_mirrors():
            path = self.mirrors / name
            if name in wanted:
                path.parent.mkdir(exist_ok=True)
                path.write_text(wanted[name], encoding="utf-8")
            else:
                path.unlink()
                path.parent.rmdir()

    def refuse(self, engine: Engine, look_only: bool) -> None:
        """Ends here when no cluster can be made. The last check is a container as a node will be one, if it may be."""
        told = kd.refusals(engine, self.cluster)
        if not told and not look_only:
            words = ("--rm", "--privileged", "--network", "none", "--entrypoint", "cat", self.cluster.image)
            tried = run("docker", "run", *words, "/kind/version", check=False)
            said = tried.stderr.decode(errors="replace")
            told = list(filter(None, [kd.trial(self.cluster, engine, tried.returncode, text(tried), said)]))
        if told:
            raise KindError("a Kind cluster can't be made here: " + "; ".join(told))

    def create(self) -> None:
        self.mark.touch()
        run(
            *(self.program, "create", "cluster", "--name", self.name, "--config", "-"),
            *("--kubeconfig", str(self.kubeconfig)),  # not --quiet, by which it would not say either why it fails
            stdin=self.cluster.config,
        )
        self.mark.unlink()

    def delete(self) -> None:
        run(self.program, "delete", "cluster", "--name", self.name, "--kubeconfig", str(self.kubeconfig))

    def start(self) -> None:
        run("docker", "start", *kd.start_order(self.see()))

    def forget(self) -> None:
        """Takes the cluster out of the operator's own kubeconfig, and our directory away."""
        if self.merged():
            run(self.program, "delete", "cluster", "--name", self.name)
        shutil.rmtree(self.directory)

    # Kubeconfigs.

    def stale_kubeconfigs(self) -> list[str]:
        """The steps that bring a running cluster's kubeconfigs to what they should be."""
        steps = []
        if read(self.kubeconfig) != self.given_kubeconfig():
            steps.append("write_kubeconfig")
        if self.merge and not self.merged():
            steps.append("merge_kubeconfig")
        return steps

    def given_kubeconfig(self) -> str:
        return text(run(self.program, "get", "kubeconfig", "--name", self.name))

    def write_kubeconfig(self) -> None:
        new = self.kubeconfig.with_name("kubeconfig.new")
        with open(os.open(new, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w", encoding="utf-8") as stream:
            stream.write(self.given_kubeconfig())
        new.replace(self.kubeconfig)

    def merged(self) -> bool:
        """Whether the operator's own kubeconfig has this cluster."""
        places = os.environ.get("KUBECONFIG", "").split(":") if os.environ.get("KUBECONFIG") else ["~/.kube/config"]
        for place in places:
            with contextlib.suppress(yaml.YAMLError, OSError):
                known = yaml.safe_load(Path(place).expanduser().read_text(encoding="utf-8")) or {}
                names = [one.get("name") for one in known.get("contexts") or ()]
                if f"kind-{self.name}" in names:
                    return True
        return False

    def merge_kubeconfig(self) -> None:
        run(self.program, "export", "kubeconfig", "--name", self.name)

    # Readiness.

    def wait(self) -> None:
        deadline = time.monotonic() + self.timeout
        missing = self.unready()
        while missing:
            if time.monotonic() > deadline:
                raise KindError(
                    f"the Kind cluster {self.name} is not ready after {self.timeout} s: {missing}. To make it anew, "
                    "without anything that is in it: -e airflow_kind_recreate=true"
                )
            time.sleep(0.5)
            missing = self.unready()

    def unready(self) -> str:
        try:
            with Api(str(self.kubeconfig), timeout=5, tries=1) as api:
                api.text("/readyz")
                if not api.may(verb="*", resource="*", group="*"):
                    return kd.unready("", False, {}, (), {})
                nodes = {
                    one["metadata"]["name"]: any(
                        condition["type"] == "Ready" and condition["status"] == "True"
                        for condition in one["status"]["conditions"]
                    )
                    for one in api.get("/api/v1/nodes")["items"]
                }
                addresses = [
                    api.get(path)["spec"]["clusterIP"]
                    for path in (
                        "/api/v1/namespaces/default/services/kubernetes",
                        "/api/v1/namespaces/kube-system/services/kube-dns",
                    )
                ]
        except KubernetesError as error:
            return kd.unready(str(error), True, {}, (), {})
        if not all(nodes.get(name) for name in self.cluster.nodes):
            return kd.unready("", True, nodes, self.cluster.nodes, {})
        with ThreadPoolExecutor(len(nodes)) as pool:
            tried = pool.map(lambda name: self.services(name, addresses), nodes)
            return kd.unready("", True, nodes, self.cluster.nodes, dict(zip(nodes, tried)))

    @staticmethod
    def services(node: str, addresses: list[str]) -> str:
        """Why a node's way to services is broken: kube-proxy writes it there, and may fail for one service only."""
        done = run("docker", "exec", node, "bash", "-c", SERVICES, "services", *addresses, check=False)
        said = done.stderr.decode(errors="replace").strip().splitlines()
        return "" if not done.returncode else re.sub(r"^curl: \(\d+\) ", "", said[-1]) if said else "no answer"
