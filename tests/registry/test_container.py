# Copyright: (c) 2026, Windward contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""A container runs when the registry is gone: what the kubelet asks before it pulls, in its own words, and a start."""

from __future__ import annotations

import shutil
import subprocess
import time
from pathlib import Path

from images import Deliver, Layer, Pusher
from servers import PATIENCE, Containerd, DockerRegistry, with_libraries


def field(number: int, value: bytes) -> bytes:
    """Of a message of Protocol Buffers, shorter than 128 bytes."""
    return bytes([number << 3 | 2, len(value)]) + value


def image_status(node: Containerd, image: str, work: Path) -> bytes:
    """What CRI answers to the kubelet, which pulls with IfNotPresent where that is nothing."""
    request = field(1, field(1, image.encode()))
    (work / "request").write_bytes(b"\0" + len(request).to_bytes(4, "big") + request)
    command = ["curl", "--silent", "--show-error", "--http2-prior-knowledge", "--unix-socket", str(node.socket)]
    command += ["-H", "Content-Type: application/grpc", "-H", "TE: trailers", "--data-binary", f"@{work}/request"]
    place = "http://localhost/runtime.v1.ImageService/ImageStatus"
    return subprocess.run([*command, place], capture_output=True, check=True, timeout=60).stdout


def test_a_container_starts_without_the_registry(
    node: Containerd, push: Pusher, deliver: Deliver, repository: str, work: Path, tmp_path: Path
) -> None:
    files = with_libraries({Path(shutil.which("sh") or ""): "bin/sh"})
    made = push.image("1.0", [Layer(name, path.read_bytes(), mode=0o755) for path, name in files.items()])
    registry = DockerRegistry(work / "data", work, "ends")
    name = f"registry.example.org/{repository}:1.0"
    try:
        assert made.config.encode() not in image_status(node, name, tmp_path)
        assert deliver(registry_url=registry.url)["changed"]
    finally:
        registry.stop()
    assert "Connection refused" in deliver(registry_url=registry.url, retry_timeout=0)["msg"], "it is gone"
    deadline = time.monotonic() + PATIENCE
    while made.config.encode() not in image_status(node, name, tmp_path):  # CRI hears of it by an event
        assert time.monotonic() < deadline
        time.sleep(0.1)
    assert node.ctr("run", "--rm", name, "of-the-tests", "/bin/sh", "-c", "echo it runs") == "it runs\n"
