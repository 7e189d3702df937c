# Copyright: (c) 2026, Windward contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Time an image's way from a registry to two nodes: module ecr_image against docker pull, docker save and an import.

`make bench-images` runs it: ROUNDS rounds (3), medians, as a Markdown table. Registry, Docker engine and nodes
(containerd 1.7 in privileged containers) are those of tests/registry, all on this computer. Where it says cold, the
engine has no image of it, and the nodes are new. SIZE is about how many megabytes the image has, packed (500).
"""

from __future__ import annotations

import io
import json
import os
import random
import re
import statistics
import subprocess
import sys
import tarfile
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
sys.path[:0] = [str(ROOT / "tests" / "registry")]

from images import Layer, Pusher  # noqa: E402
from servers import DockerRegistry, Engine  # noqa: E402

ROUNDS, SIZE = int(os.environ.get("ROUNDS", 3)), int(os.environ.get("SIZE", 500))
NODES = ["first", "second"]
REPOSITORY = "team/airflow"


@dataclass
class Files(Layer):
    """Many files that can be packed to about the half."""

    @property
    def tar(self) -> bytes:
        source = random.Random(self.name)
        with io.BytesIO() as whole:
            with tarfile.open(fileobj=whole, mode="w") as archive:
                for number in range(int(self.content)):
                    data = source.randbytes(50_000).hex().encode()
                    entry = tarfile.TarInfo(f"opt/{self.name}/{number}")
                    entry.size = len(data)
                    archive.addfile(entry, io.BytesIO(data))
            return whole.getvalue()


class Bench:
    def __init__(self, work: Path) -> None:
        self.work = work
        self.registry = DockerRegistry(work / "data", work, "registry")
        self.engine = Engine(work / "engine")
        for name in NODES:
            self.engine.run(name)
        push = Pusher(self.registry.url, REPOSITORY)
        big = [Files(f"layer{number}", str(SIZE * 1000 // 4 // 57).encode()) for number in range(4)]
        blobs = [push.image("layers", [layer]) for layer in big]
        self.megabytes = sum(made.size() for made in blobs) / 1e6
        for tag in ("1", "2"):
            push.image(tag, [*big, Layer("opt/dag.py", tag.encode() * 1000)])
        self.host = self.registry.url.removeprefix("http://")

    def stop(self) -> None:
        self.engine.stop()
        self.registry.stop()

    def empty(self) -> None:
        """As if there had never been an image."""
        self.engine.docker("image", "prune", "--all", "--force")
        for node in NODES:
            self.engine.docker("rm", "-fv", node)
            self.engine.run(node)
            while subprocess.run(
                self.engine._docker("exec", node, "ctr", "version"), capture_output=True, check=False,
                env=self.engine._environment,
            ).returncode:  # fmt: skip
                time.sleep(0.2)
        os.sync()

    # -- the rival -----------------------------------------------------------------------------------------------------

    def rival(self, tag: str, check: bool = False) -> float:
        """What people do, with the steps of `kind load docker-image`."""
        name, archive = f"{self.host}/{REPOSITORY}:{tag}", self.work / "image.tar"
        began = time.monotonic()
        if check and all(name in self.engine.ctr(node, "images", "ls", "-q", f"name=={name}") for node in NODES):
            return time.monotonic() - began
        self.engine.docker("pull", "--quiet", name)
        self.engine.docker("save", "--output", str(archive), name)

        def load(node: str) -> None:
            words = ["ctr", "-n", "k8s.io", "images", "import", "--all-platforms", "--digests"]
            with archive.open("rb") as stream:
                command = self.engine._docker("exec", "-i", node, *words, "--snapshotter=overlayfs", "-")
                subprocess.run(
                    command, stdin=stream, check=True, capture_output=True, env=self.engine._environment
                )

        with ThreadPoolExecutor() as pool:
            list(pool.map(load, NODES))
        archive.unlink()
        return time.monotonic() - began

    # -- ours ----------------------------------------------------------------------------------------------------------

    def ours(self, tag: str) -> dict[str, float]:
        """The module in a process of its own, as Ansible starts it."""
        arguments = {
            "image": f"registry.example.org/{REPOSITORY}:{tag}", "registry_url": self.registry.url,
            "docker_host": self.engine.host, "cluster": self.engine.CLUSTER,
        }  # fmt: skip
        # What wait4 tells of memory may be this process's own, which has made the image.
        code = "import atexit, sys; atexit.register(lambda: sys.stderr.write(open('/proc/self/status').read())); "
        code += "from ansible.module_utils import basic; basic._ANSIBLE_PROFILE = 'legacy'; "
        code += f"basic._ANSIBLE_ARGS = {json.dumps({'ANSIBLE_MODULE_ARGS': arguments}).encode()!r}; "
        code += "from ansible_collections.windward.airflow.plugins.modules import ecr_image; ecr_image.main()"
        before, began = self.registry.lines(), time.monotonic()
        done = subprocess.run(
            [sys.executable, "-c", code], env={**os.environ, "PYTHONPATH": str(ROOT / ".collections")},
            capture_output=True, text=True, check=False,
        )  # fmt: skip
        took, result = time.monotonic() - began, json.loads(done.stdout)
        assert "nodes" in result, result
        peak = re.findall(r"^VmHWM:\s+(\d+) kB", done.stderr, re.MULTILINE)[0]
        return {
            "process": took, "module": result["seconds"], "memory": int(peak) * 1024 / 1e6,
            "read": self.registry.written(before) / 1e6,
            "sent": max(row["bytes"] for row in result["nodes"].values()) / 1e6,
        }  # fmt: skip


def main() -> None:
    with tempfile.TemporaryDirectory(prefix="images-") as directory:
        bench = Bench(Path(directory))
        rows: list[dict[str, float]] = []
        try:
            for number in range(ROUNDS):
                row: dict[str, float] = {}
                bench.empty()
                row["rival cold"], row["rival top"] = bench.rival("1"), bench.rival("2")
                row["rival same"], row["rival checked"] = bench.rival("2"), bench.rival("2", check=True)
                bench.empty()
                for work, tag in (("cold", "1"), ("top", "2"), ("same", "2")):
                    row |= {f"{work} {key}": value for key, value in bench.ours(tag).items()}
                rows.append(row)
                shown = {key: round(value, 2) for key, value in row.items()}
                print(f"round {number + 1}: {json.dumps(shown)}", flush=True)
        finally:
            bench.stop()

    def median(name: str) -> float:
        return statistics.median(row[name] for row in rows)

    print(f"\nAn image of {bench.megabytes:.0f} MB, packed, to two nodes; medians of {ROUNDS}. In each round the")
    print("rival, and then ours, begins with new nodes, no image in the engine; each row where the last one ended.\n")
    print("| work | rival | own time | process | rival / own time | read, a node was sent | most memory |")
    print("|---|---|---|---|---|---|---|")
    for rival, work, name in (
        ("cold", "cold", "cold"), ("top", "top", "a small top layer changed"), ("same", "same", "nothing changed"),
        ("checked", "same", "nothing changed, and the rival asks the nodes first"),
    ):  # fmt: skip
        theirs, own, process = median(f"rival {rival}"), median(f"{work} module"), median(f"{work} process")
        moved = f"{median(f'{work} read'):.3f}, {median(f'{work} sent'):.3f} MB"
        memory = median(f"{work} memory")
        took = f"{theirs:.2f} s | {own:.2f} s | {process:.2f} s | {theirs / own:.1f}"
        print(f"| {name} | {took} | {moved} | {memory:.0f} MB |")


if __name__ == "__main__":
    main()
