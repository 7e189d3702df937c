# Copyright: (c) 2026, Windward contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Images of a few files, made by hand and pushed over HTTP, so that a test can say what is wrong with one."""

from __future__ import annotations

import gzip
import hashlib
import io
import json
import random
import tarfile
import urllib.request
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urljoin

OCI = "application/vnd.oci.image"
INDEX, MANIFEST, CONFIG = f"{OCI}.index.v1+json", f"{OCI}.manifest.v1+json", f"{OCI}.config.v1+json"
DOCKER_MANIFEST = "application/vnd.docker.distribution.manifest.v2+json"
GZIP, ZSTD, PLAIN = f"{OCI}.layer.v1.tar+gzip", f"{OCI}.layer.v1.tar+zstd", f"{OCI}.layer.v1.tar"

Deliver = Callable[..., dict[str, Any]]  # conftest's fixture


def noise(megabytes: float, seed: int = 1) -> bytes:
    """What can't be compressed."""
    return random.Random(seed).randbytes(int(megabytes * 1e6))


def digest(data: bytes) -> str:
    return f"sha256:{hashlib.sha256(data).hexdigest()}"


def zstd(data: bytes) -> bytes:
    """A frame of blocks that are stored as they are, which is as good as any to who unpacks it."""
    size = 1 << 17
    blocks = [data[start : start + size] for start in range(0, len(data), size)]
    head = b"\x28\xb5\x2f\xfd\x00\x58"
    return head + b"".join(
        (len(block) << 3 | (number == len(blocks) - 1)).to_bytes(3, "little") + block
        for number, block in enumerate(blocks)
    )


@dataclass
class Layer:
    name: str
    content: bytes
    kind: str = GZIP
    mode: int = 0o644

    @property
    def tar(self) -> bytes:
        with io.BytesIO() as whole:
            with tarfile.open(fileobj=whole, mode="w") as archive:
                entry = tarfile.TarInfo(self.name)
                entry.size, entry.mode = len(self.content), self.mode
                archive.addfile(entry, io.BytesIO(self.content))
            return whole.getvalue()

    @property
    def packed(self) -> bytes:
        if self.kind == ZSTD:
            return zstd(self.tar)
        return gzip.compress(self.tar, 1, mtime=0) if self.kind == GZIP else self.tar


@dataclass
class Made:
    """An image that is in the registry: its digests, by what they are."""

    target: str = ""
    manifest: str = ""
    config: str = ""
    layers: list[str] = field(default_factory=list)
    sizes: dict[str, int] = field(default_factory=dict)
    others: set[str] = field(default_factory=set)

    @property
    def blobs(self) -> set[str]:
        return {self.target, self.manifest, self.config, *self.layers}

    def size(self, *left_out: str) -> int:
        return sum(size for one, size in self.sizes.items() if one in self.blobs - set(left_out))


class Pusher:
    """Fills a repository of a registry that asks for no log-in."""

    def __init__(self, url: str, repository: str) -> None:
        self.base = f"{url}/v2/{repository}"

    def blob(self, data: bytes) -> dict[str, Any]:
        with urllib.request.urlopen(urllib.request.Request(f"{self.base}/blobs/uploads/", method="POST")) as reply:
            place = urljoin(self.base, reply.headers["Location"])
        mark = "&" if "?" in place else "?"
        kind = {"Content-Type": "application/octet-stream"}
        request = urllib.request.Request(f"{place}{mark}digest={digest(data)}", data, kind, method="PUT")
        urllib.request.urlopen(request).close()
        return {"digest": digest(data), "size": len(data)}

    def document(self, reference: str, kind: str, document: dict[str, Any]) -> dict[str, Any]:
        data = json.dumps(document).encode()
        place = f"{self.base}/manifests/{reference or digest(data)}"
        urllib.request.urlopen(urllib.request.Request(place, data, {"Content-Type": kind}, method="PUT")).close()
        return {"mediaType": kind, "digest": digest(data), "size": len(data)}

    def image(
        self, tag: str, layers: list[Layer], *, index: bool = True, machine: str = "amd64", kind: str = MANIFEST,
        others: tuple[str, ...] = (), **changes: Any,
    ) -> Made:
        """`others` are platforms of the index of which nothing but a manifest is there."""
        config = self.blob(json.dumps({
            "architecture": machine, "os": "linux", "config": {},
            "rootfs": {"type": "layers", "diff_ids": [digest(layer.tar) for layer in layers]},
        }).encode())
        rows = [{**self.blob(layer.packed), "mediaType": layer.kind} for layer in layers]
        document = {
            "schemaVersion": 2, "mediaType": kind, "config": {**config, "mediaType": CONFIG}, "layers": rows, **changes
        }
        manifest = self.document("" if index else tag, kind, document)
        made = Made(manifest["digest"], manifest["digest"], config["digest"], [row["digest"] for row in rows])
        made.sizes = {row["digest"]: row["size"] for row in (config, manifest, *rows)}
        if index:
            entries = [{**manifest, "platform": {"os": "linux", "architecture": machine}}]
            for other in others:
                fake = {**document, "annotations": {"for": other}}
                system, architecture = other.split("/", 1)
                platform = {"os": system, "architecture": architecture}
                entries.append({**self.document("", kind, fake), "platform": platform})
            made.others = {entry["digest"] for entry in entries[1:]}
            top = self.document(tag, INDEX, {"schemaVersion": 2, "mediaType": INDEX, "manifests": entries})
            made.target, made.sizes[top["digest"]] = top["digest"], top["size"]
        return made
