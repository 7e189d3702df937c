# Copyright: (c) 2026, Windward contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Private to the collection. What an image is made of, and what a node lacks of it: pure, nobody is asked."""

from __future__ import annotations

import hashlib
import json
import os
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from ._registry import INDEXES, MANIFESTS, Blob, ImageError

PINNED = "io.cri-containerd.pinned"
HOST = r"(?:[a-zA-Z0-9](?:[a-zA-Z0-9.-]*[a-zA-Z0-9])?|\[[0-9a-fA-F:]+\])(?::[0-9]{1,5})?"
PART = r"[a-z0-9]+(?:(?:\.|_|__|-+)[a-z0-9]+)*"
REFERENCE = re.compile(
    rf"(?:(?P<host>{HOST})/)?(?P<path>{PART}(?:/{PART})*)(?::(?P<tag>\w[\w.-]{{0,127}}))?(?:@(?P<digest>\S+))?",
    re.ASCII,
)
# Each partition of AWS has names of its own: China, Europe's own, those of governments.
ECR = re.compile(
    r"(?P<account>\d{12})\.dkr[.-]ecr(?:-fips)?\.(?P<region>[a-z0-9-]+)\.(?:amazonaws\.(?:com(?:\.cn)?|eu)|on\.aws"
    r"|on\.amazonwebservices\.(?:com\.cn|eu)|s?c2s\.(?:ic|sgov)\.gov|cloud\.adc-e\.uk|csp\.hci\.ic\.gov)"
)
MACHINES = {
    "x86_64": "linux/amd64", "aarch64": "linux/arm64", "arm64": "linux/arm64", "armv7l": "linux/arm/v7",
    "ppc64le": "linux/ppc64le", "s390x": "linux/s390x", "riscv64": "linux/riscv64",
}


@dataclass(frozen=True)
class Reference:
    """A name as containerd and Kubernetes write it out."""

    host: str
    path: str
    tag: str
    digest: str

    @property
    def repository(self) -> str:
        return f"{self.host}/{self.path}"

    @property
    def asked(self) -> str:
        """What the registry is asked for."""
        return self.digest or self.tag

    @property
    def api(self) -> str:
        """Where the registry answers if nothing else is said."""
        return "https://" + ("registry-1.docker.io" if self.host == "docker.io" else self.host)

    def by_digest(self, digest: str) -> str:
        return f"{self.repository}@{digest}"

    def __str__(self) -> str:
        return f"{self.repository}@{self.digest}" if self.digest else f"{self.repository}:{self.tag}"


def parse(name: str) -> Reference:
    found = REFERENCE.fullmatch(name)
    if not found:
        raise ImageError(f"{name!r} is no name of an image, such as registry.example.org/team/airflow:1.0")
    host, path, tag, digest = (found[key] or "" for key in ("host", "path", "tag", "digest"))
    if host and not re.search(r"[.:]|^localhost$", host):
        if not re.fullmatch(PART, host):
            raise ImageError(f"{host!r} is no host of a registry")
        host, path = "", f"{host}/{path}"  # a user of Docker Hub
    if host in ("", "docker.io", "index.docker.io"):
        host, path = "docker.io", path if "/" in path else f"library/{path}"
    if re.search(r"\becr\b.*\bamazonaws\b", host) and not ECR.fullmatch(host):
        raise ImageError(
            f"{host} is no registry of ECR, whose names are 123456789012.dkr.ecr.eu-central-1.amazonaws.com"
        )
    if (port := re.search(r":(\d+)$", host)) and not 0 < int(port[1]) < 65536:
        raise ImageError(f"{host}: there is no port {port[1]}")
    if digest and not re.fullmatch(r"sha256:[0-9a-f]{64}", digest):
        raise ImageError(f"{digest!r} is no digest, which is sha256: and 64 of 0-9a-f")
    if tag and digest:
        raise ImageError(f"{name} has both a tag and a digest, which need not be the same image: give one of them")
    if not tag and not digest:
        raise ImageError(f"{name} has no tag: write :latest if that is what you want")
    return Reference(host, path, tag, digest)


def region(reference: Reference) -> str:
    """The AWS region of a registry of ECR, else nothing."""
    found = ECR.fullmatch(reference.host)
    return found["region"] if found else ""


# -- what the registry says --------------------------------------------------------------------------------------------


def platform(value: Any) -> str:
    """As `ctr` writes it: the variant that every such processor has is left out."""
    if not isinstance(value, Mapping):
        return ""
    system, machine, variant = (str(value.get(key) or "") for key in ("os", "architecture", "variant"))
    variant = {("arm64", "v8"): "", ("arm", ""): "v7", ("amd64", "v1"): ""}.get((machine, variant), variant)
    return "/".join(filter(None, (system, machine, variant)))


def normal(name: str) -> str:
    """A platform as somebody wrote it."""
    parts = name.split("/")
    if not 2 <= len(parts) <= 3 or not all(re.fullmatch(r"[a-z0-9_.]+", part) for part in parts):
        raise ImageError(f"{name!r} is no platform, such as linux/amd64")
    return platform(dict(zip(("os", "architecture", "variant"), parts)))


def own_platform() -> str:
    """That of this computer."""
    return MACHINES.get(os.uname().machine, "linux/amd64")


def parsed(text: bytes, named: str) -> dict[str, Any]:
    try:
        found = json.loads(text)
    except (ValueError, RecursionError):
        found = None
    if not isinstance(found, dict):
        raise ImageError(f"{named} is no JSON object, so not an image")
    return found


def descriptor(value: Any, named: str) -> Blob:
    try:
        blob = Blob(value["digest"], value["size"], value["mediaType"])
    except (KeyError, TypeError):
        raise ImageError(f"{named} has a descriptor without digest, size or type") from None
    if not re.fullmatch(r"sha256:[0-9a-f]{64}|sha512:[0-9a-f]{128}", str(blob.digest)) or not (
        isinstance(blob.size, int) and not isinstance(blob.size, bool) and blob.size >= 0
        and isinstance(blob.media_type, str)
    ):
        raise ImageError(f"{named} has a descriptor that can't be: {str(value)[:200]}")
    return blob


def choose(index: Mapping[str, Any], wanted: str, named: str) -> Blob:
    """The manifest of one platform."""
    rows = index.get("manifests")
    if not isinstance(rows, list) or not all(isinstance(row, dict) for row in rows):
        raise ImageError(f"{named} is an index without manifests")
    offered = [(platform(row.get("platform")), row) for row in rows if row.get("mediaType") in MANIFESTS]
    for name, row in offered:
        if name == wanted:
            return descriptor(row, named)
    names = sorted({name for name, _row in offered if name and "unknown" not in name})
    raise ImageError(f"{named} is not there for {wanted}, only for {', '.join(names) or 'no platform'}")


@dataclass(frozen=True)
class Image:
    """One platform of an image: its documents with their text, and its layers."""

    reference: Reference
    platform: str
    target: Blob
    manifest: Blob
    config: Blob
    layers: tuple[Blob, ...]
    texts: Mapping[str, bytes] = field(repr=False)
    chain: str = ""

    @property
    def documents(self) -> tuple[Blob, ...]:
        """From the leaves to the root, as they are sent."""
        return tuple(dict.fromkeys((self.config, self.manifest, self.target)))

    @property
    def blobs(self) -> tuple[Blob, ...]:
        return tuple({blob.digest: blob for blob in (*self.layers, *self.documents)}.values())

    @property
    def size(self) -> int:
        return sum(blob.size for blob in self.blobs)

    @property
    def names(self) -> tuple[str, ...]:
        """The first is made by the import, the tag follows when that is whole."""
        pinned = self.reference.by_digest(self.target.digest)
        return (pinned,) if self.reference.digest else (pinned, str(self.reference))


def layers(manifest: Mapping[str, Any], named: str) -> tuple[Blob, tuple[Blob, ...]]:
    rows = manifest.get("layers")
    if not isinstance(rows, list):
        raise ImageError(f"{named} has no layers, so it is no image")
    for row in rows:
        if isinstance(row, dict) and re.search(r"\.(foreign|nondistributable)\.", str(row.get("mediaType"))):
            raise ImageError(f"{named} has a layer that its registry does not keep ({row.get('digest')})")
    return descriptor(manifest.get("config"), named), tuple(descriptor(row, named) for row in rows)


def chain(config: Mapping[str, Any], count: int, named: str) -> str:
    """The name of the snapshot in which all layers are unpacked."""
    ids = (config.get("rootfs") or {}).get("diff_ids") if isinstance(config.get("rootfs"), dict) else None
    if not isinstance(ids, list) or not ids or not all(isinstance(one, str) for one in ids) or len(ids) != count:
        raise ImageError(f"{named}: its configuration does not fit its layers")
    whole = ids[0]
    for one in ids[1:]:
        whole = "sha256:" + hashlib.sha256(f"{whole} {one}".encode()).hexdigest()
    return str(whole)


# -- what a node lacks -------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Record:
    """An image as containerd knows it by one name."""

    target: str
    pinned: bool


@dataclass(frozen=True)
class Seen:
    """What a node has: names of the image's repository, blobs, snapshots of layers."""

    names: Mapping[str, Record]
    content: frozenset[str]
    chains: frozenset[str]


@dataclass(frozen=True)
class Plan:
    """What one node is sent and what is done there."""

    blobs: tuple[Blob, ...] = ()
    imports: bool = False
    rename: bool = False
    label: tuple[str, ...] = ()
    release: tuple[str, ...] = ()  # names that are left behind, for the kubelet to collect

    @property
    def steps(self) -> list[str]:
        done = {"import": self.imports, "tag": self.rename, "label": self.label, "release": self.release}
        return [name for name, value in done.items() if value]

    @property
    def size(self) -> int:
        return sum(blob.size for blob in self.blobs)


def plan(image: Image, seen: Seen, pinned: bool, alone: bool = False) -> Plan:
    """What is missing for the node to be as after a pull of its own; `alone`, no other tag's image stays pinned."""
    digest = image.target.digest
    own, *tags = image.names
    right = {name for name in image.names if name in seen.names and seen.names[name].target == digest}
    # Layers that are unpacked are not needed packed as well; some nodes drop them.
    there = all(blob.digest in seen.content for blob in image.documents) and image.chain in seen.chains
    imports = own not in right or not there
    blobs = tuple(blob for blob in image.blobs if blob.digest not in seen.content) if imports else ()
    rename = any(name not in right for name in tags)
    label = tuple(
        name for name in image.names
        if (seen.names[name].pinned if name in right else False) != pinned
    )
    old = {seen.names[name].target for name in tags if name in seen.names} - {digest}
    kept = {record.target for name, record in seen.names.items() if "@" not in name and name not in tags}
    release = tuple(
        name for name, record in sorted(seen.names.items())
        if record.pinned and name not in image.names and (alone or ("@" in name and record.target in old - kept))
    )
    return Plan(blobs, imports, rename, label, release)


def index_json(image: Image) -> bytes:
    """What makes a stream of blobs an archive of an image."""
    row = {
        "mediaType": image.target.media_type,
        "digest": image.target.digest,
        "size": image.target.size,
        "annotations": {"io.containerd.image.name": image.names[0]},
    }
    return json.dumps({"schemaVersion": 2, "mediaType": INDEXES[0], "manifests": [row]}).encode()
