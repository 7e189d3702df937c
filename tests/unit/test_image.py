# Copyright: (c) 2026, Windward contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)

from __future__ import annotations

import hashlib
import io
import json
import shlex
import tarfile
import threading
import time
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.windward.airflow.plugins.module_utils import _containerd, _image
from ansible_collections.windward.airflow.plugins.module_utils._image import Image, Plan, Record, Seen
from ansible_collections.windward.airflow.plugins.module_utils._pipes import Local
from ansible_collections.windward.airflow.plugins.module_utils._registry import INDEXES, MANIFESTS, Blob, ImageError


def sha(name: str) -> str:
    return f"sha256:{hashlib.sha256(name.encode()).hexdigest()}"


# -- names -------------------------------------------------------------------------------------------------------------

ECR = "123456789012.dkr.ecr.eu-central-1.amazonaws.com"


@pytest.mark.parametrize(
    ("name", "written_out", "asked_at"),
    [
        (f"{ECR}/airflow:1", f"{ECR}/airflow:1", f"https://{ECR}"),
        ("localhost:5000/a/b-c/d__e:1.0_x", "localhost:5000/a/b-c/d__e:1.0_x", "https://localhost:5000"),
        ("[::1]:5000/a:1", "[::1]:5000/a:1", "https://[::1]:5000"),
        ("apache/airflow:3.3.2", "docker.io/apache/airflow:3.3.2", "https://registry-1.docker.io"),
        ("redis:8", "docker.io/library/redis:8", "https://registry-1.docker.io"),
        ("docker.io/redis:8", "docker.io/library/redis:8", "https://registry-1.docker.io"),
        ("a-1.elb.eu-central-1.amazonaws.com/a:1",) * 2 + ("https://a-1.elb.eu-central-1.amazonaws.com",),  # one's own
        ("index.docker.io/a/b:1", "docker.io/a/b:1", "https://registry-1.docker.io"),
        (f"ghcr.io/a/b@{sha('x')}", f"ghcr.io/a/b@{sha('x')}", "https://ghcr.io"),
    ],
)
def test_names(name: str, written_out: str, asked_at: str) -> None:
    reference = _image.parse(name)
    assert (str(reference), reference.api) == (written_out, asked_at)


@pytest.mark.parametrize(
    "name",
    [
        "", ":1", "a b:1", "A/b:1", "example.org/:1", "example.org/a", "example.org/a:", "example.org/a:1:2", "-x/a:1",
        "example.org/a@sha256:0", f"example.org/a:1@{sha('x')}", f"example.org/a@md5:{'0' * 32}", "example.org:0/a:1",
        "https://example.org/a:1", "ecr.eu-west-1.amazonaws.com/a:1",
        f"{ECR[1:]}/a:1", f"x.{ECR}/a:1", "example.org/a:1\n", "example.org/../a:1",
        "example.org/é:1", "example.org/a:é",
    ],
)  # fmt: skip
def test_no_names(name: str) -> None:
    with pytest.raises(ImageError):
        _image.parse(name)


@pytest.mark.parametrize(
    ("host", "region"),
    [
        (ECR, "eu-central-1"),
        ("123456789012.dkr.ecr-fips.us-gov-west-1.amazonaws.com", "us-gov-west-1"),
        ("123456789012.dkr.ecr.cn-north-1.amazonaws.com.cn", "cn-north-1"),
        ("123456789012.dkr-ecr.us-east-1.on.aws", "us-east-1"),
        ("123456789012.dkr-ecr.cn-north-1.on.amazonwebservices.com.cn", "cn-north-1"),
        ("123456789012.dkr.ecr.eusc-de-east-1.amazonaws.eu", "eusc-de-east-1"),
        ("123456789012.dkr.ecr.eu-isoe-west-1.cloud.adc-e.uk", "eu-isoe-west-1"),
        ("123456789012.dkr.ecr.eu-central-1.example.org", ""),
        ("registry.example.org", ""),
    ],
)
def test_regions(host: str, region: str) -> None:
    assert _image.region(_image.parse(f"{host}/a:1")) == region


# -- platforms ---------------------------------------------------------------------------------------------------------


def entry(platform: str, **more: Any) -> dict[str, Any]:
    system, machine, *variant = platform.split("/")
    row = {"os": system, "architecture": machine, **({"variant": variant[0]} if variant else {})}
    return {"mediaType": MANIFESTS[0], "digest": sha(platform), "size": 7, "platform": row, **more}


INDEX = {"manifests": [
    entry("unknown/unknown"), entry("linux/amd64"), entry("linux/arm64/v8"), entry("linux/arm/v7"),
    entry("linux/arm/v6"), entry("windows/amd64"), {**entry("linux/s390x"), "mediaType": "application/vnd.example"},
]}  # fmt: skip


@pytest.mark.parametrize(
    ("wanted", "found"),
    [
        ("linux/amd64", "linux/amd64"),
        ("linux/arm64", "linux/arm64/v8"),
        ("linux/arm64/v8", "linux/arm64/v8"),
        ("linux/arm", "linux/arm/v7"),
        ("linux/arm/v6", "linux/arm/v6"),
    ],
)
def test_the_manifest_of_a_platform(wanted: str, found: str) -> None:
    assert _image.choose(INDEX, _image.normal(wanted), "x").digest == sha(found)


@pytest.mark.parametrize(("machine", "platform"), [
    ("x86_64", "linux/amd64"), ("aarch64", "linux/arm64"), ("arm64", "linux/arm64"),  # macOS says arm64
])  # fmt: skip
def test_the_platform_of_a_machine(machine: str, platform: str) -> None:
    assert _image.MACHINES[machine] == platform


def test_no_manifest_of_a_platform() -> None:
    names = "linux/amd64, linux/arm/v6, linux/arm/v7, linux/arm64, windows/amd64"
    with pytest.raises(ImageError, match=f"^x is not there for linux/s390x, only for {names}$"):
        _image.choose(INDEX, "linux/s390x", "x")
    odd = {"manifests": [{**entry("linux/amd64"), "platform": value} for value in ("linux", None, [])]}
    with pytest.raises(ImageError, match="only for no platform"):
        _image.choose(odd, "linux/amd64", "x")
    for nothing in ({}, {"manifests": None}, {"manifests": ["a"]}):
        with pytest.raises(ImageError, match="index without manifests"):
            _image.choose(nothing, "linux/amd64", "x")


@pytest.mark.parametrize(
    "row",
    [
        None, [], {}, {"digest": sha("a"), "size": 1}, {"digest": "sha256:0", "size": 1, "mediaType": "x"},
        {"digest": sha("a"), "size": -1, "mediaType": "x"}, {"digest": sha("a"), "size": True, "mediaType": "x"},
        {"digest": sha("a"), "size": "1", "mediaType": "x"}, {"digest": "sha256:../../x", "size": 1, "mediaType": "x"},
        {"digest": 1, "size": 1, "mediaType": "x"},
    ],
)  # fmt: skip
def test_descriptors_that_cannot_be(row: Any) -> None:
    with pytest.raises(ImageError, match=r"^x has a descriptor"):
        _image.descriptor(row, "x")


@pytest.mark.parametrize(
    "kind", ["docker.image.rootfs.foreign.diff.tar.gzip", "oci.image.layer.nondistributable.v1.tar"]
)
def test_a_layer_that_is_kept_elsewhere(kind: str) -> None:
    row = {"mediaType": f"application/vnd.{kind}", "digest": sha("a"), "size": 1}
    with pytest.raises(ImageError, match="does not keep"):
        _image.layers({"config": row, "layers": [row]}, "x")


def test_the_snapshot_of_all_layers() -> None:
    ids = [sha("a"), sha("b"), sha("c")]
    two = "sha256:" + hashlib.sha256(f"{ids[0]} {ids[1]}".encode()).hexdigest()
    three = "sha256:" + hashlib.sha256(f"{two} {ids[2]}".encode()).hexdigest()
    assert _image.chain({"rootfs": {"diff_ids": ids[:1]}}, 1, "x") == ids[0]
    assert _image.chain({"rootfs": {"diff_ids": ids}}, 3, "x") == three
    for wrong in ({}, {"rootfs": None}, {"rootfs": {"diff_ids": []}}, {"rootfs": {"diff_ids": ids[:2]}}):
        with pytest.raises(ImageError, match="does not fit its layers"):
            _image.chain(wrong, 3, "x")


# -- what a node lacks -------------------------------------------------------------------------------------------------

TARGET, MANIFEST, CONFIG, BASE, TOP = (
    Blob(sha(name), number, "x") for number, name in enumerate(("target", "manifest", "config", "base", "top"), 1)
)
NAME = "example.org/a"
OWN, TAG, OLD = f"{NAME}@{TARGET.digest}", f"{NAME}:1", f"{NAME}@{sha('old')}"


def image(name: str = TAG, target: Blob = TARGET) -> Image:
    return Image(_image.parse(name), "linux/amd64", target, MANIFEST, CONFIG, (BASE, TOP, BASE), {}, "chain")


def names(pinned: bool = True, **targets: str) -> dict[str, Record]:
    known = {"own": OWN, "tag": TAG, "old": OLD, "other": f"{NAME}:other"}
    return {known[name]: Record(sha(target), pinned) for name, target in targets.items()}


ALL = frozenset(blob.digest for blob in (TARGET, MANIFEST, CONFIG, BASE, TOP))
THERE = frozenset({"chain"})
RIGHT = names(own="target", tag="target")


@pytest.mark.parametrize(
    ("seen", "pinned", "wanted"),
    [
        pytest.param(
            Seen({}, frozenset(), frozenset()), True,
            Plan((BASE, TOP, CONFIG, MANIFEST, TARGET), True, True, (OWN, TAG)), id="nothing is there",
        ),
        pytest.param(Seen(RIGHT, ALL, THERE), True, Plan(), id="all is there"),
        pytest.param(
            Seen(RIGHT, ALL - {BASE.digest, TOP.digest}, THERE), True, Plan(), id="layers are kept unpacked only"
        ),
        pytest.param(Seen(RIGHT, ALL, frozenset()), True, Plan((), True), id="not unpacked"),
        pytest.param(Seen(RIGHT, ALL - {CONFIG.digest}, THERE), True, Plan((CONFIG,), True), id="a document is gone"),
        pytest.param(
            Seen({}, frozenset({BASE.digest}), frozenset()), True,
            Plan((TOP, CONFIG, MANIFEST, TARGET), True, True, (OWN, TAG)), id="another image has the base",
        ),
        pytest.param(
            Seen({}, ALL, THERE), True, Plan((), True, True, (OWN, TAG)), id="the same image under another repository",
        ),
        pytest.param(
            Seen(names(own="target"), ALL, THERE), True, Plan((), False, True, (TAG,)), id="killed before the tag"
        ),
        pytest.param(
            Seen(names(tag="target"), ALL, THERE), True, Plan((), True, False, (OWN,)), id="known by tag only"
        ),
        pytest.param(
            Seen(names(pinned=False, own="target", tag="target"), ALL, THERE), True, Plan((), label=(OWN, TAG)),
            id="not pinned yet",
        ),
        pytest.param(Seen(RIGHT, ALL, THERE), False, Plan((), label=(OWN, TAG)), id="pinned no more"),
        pytest.param(
            Seen({}, ALL, THERE), False, Plan((), True, True), id="never pinned",
        ),
        pytest.param(
            Seen(names(own="target", tag="old", old="old"), ALL, THERE), True, Plan((), False, True, (TAG,), (OLD,)),
            id="the tag moved",
        ),
        pytest.param(
            Seen(names(own="target", tag="old", old="old", other="old"), ALL, THERE), True,
            Plan((), False, True, (TAG,)), id="the tag moved, another one has stayed",
        ),
        pytest.param(
            Seen({**RIGHT, **names(old="old")}, ALL, THERE), True, Plan(), id="another image is pinned as well",
        ),
    ],
)  # fmt: skip
def test_plans(seen: Seen, pinned: bool, wanted: Plan) -> None:
    assert _image.plan(image(), seen, pinned) == wanted


def test_other_tags_are_released_if_wanted() -> None:
    """But for what is wanted itself, by whichever names."""
    seen = Seen({**RIGHT, **names(old="old", other="old")}, ALL, THERE)
    assert _image.plan(image(), seen, True, alone=True) == Plan(release=(f"{NAME}:other", OLD))
    seen = Seen({**RIGHT, **names(False, old="old", other="old")}, ALL, THERE)
    assert _image.plan(image(), seen, True, alone=True) == Plan()


def test_a_plan_by_digest_knows_no_tag() -> None:
    plan = _image.plan(image(OWN), Seen(names(tag="old"), ALL, THERE), True)
    assert plan == Plan((), True, False, (OWN,))


def test_a_manifest_without_an_index_is_sent_once() -> None:
    plan = _image.plan(image(target=MANIFEST), Seen({}, frozenset(), frozenset()), True)
    assert plan.blobs == (BASE, TOP, CONFIG, MANIFEST) and plan.size == 14
    assert plan.steps == ["import", "tag", "label"]


# -- what is sent, and what a node says --------------------------------------------------------------------------------


class Program:
    """Keeps what it is given, and says what it was made with."""

    def __init__(self, out: bytes = b"", err: bytes = b"", code: int = 0) -> None:
        self.given, self.said, self.ended = b"", (out, err), code
        self.end = threading.Event()

    def write(self, data: bytes) -> None:
        self.given += data

    def close_input(self) -> None:
        self.end.set()

    def abort(self) -> None: ...
    def close(self) -> None: ...

    def output(self, last: bytes = b"") -> tuple[bytes, bytes]:
        if not last:
            self.end.wait(10)
        return self.said

    def code(self) -> int:
        return self.ended


def test_the_archive() -> None:
    program = Program()
    stream = _containerd.Stream("a", program)
    blob = Blob(sha("layer"), 5, "x")
    stream.begin(blob)
    stream.put(b"lay")
    stream.put(b"er")
    stream.end(blob)
    stream.finish(image())
    assert stream.result() == "" and stream.sent == 5
    with tarfile.open(fileobj=io.BytesIO(program.given)) as archive:
        found = {entry.name: archive.extractfile(entry).read() for entry in archive}  # type: ignore[union-attr]
    assert list(found) == ["oci-layout", f"blobs/{blob.digest.replace(':', '/')}", "index.json"]
    assert found[f"blobs/{blob.digest.replace(':', '/')}"] == b"layer"
    index = json.loads(found["index.json"])
    assert index["mediaType"] == INDEXES[0]
    assert index["manifests"] == [
        {"mediaType": "x", "digest": TARGET.digest, "size": 1, "annotations": {"io.containerd.image.name": OWN}}
    ]


SAID = f"""x86_64
o

=
{sha("a")}
{sha("b")}

=
REF       TYPE     DIGEST   SIZE      PLATFORMS               LABELS
{TAG} application/x {sha("target")} 1.2 MiB linux/amd64,linux/arm64 io.cri-containerd.image=managed,io.cri-containerd.pinned=pinned
{OWN} application/x {sha("target")} 1.2 MiB linux/amd64 -

=
KEY PARENT KIND
chain parent Committed
parent  Committed
running chain Active

==
"""  # noqa: E501


def node(*programs: Program) -> tuple[_containerd.Node, list[list[str]]]:
    commands: list[list[str]] = []
    left = list(programs)

    def start(command: list[str]) -> Program:
        commands.append(command)
        return left.pop(0)

    return _containerd.Node("n", start, ctr="ctr", address="/s", namespace="ns", snapshotter="o"), commands


def test_a_look() -> None:
    one, commands = node(Program(SAID.encode()))
    seen = one.look("example.org/a")
    assert one.platform == "linux/amd64"
    assert seen == Seen(
        {TAG: Record(sha("target"), True), OWN: Record(sha("target"), False)},
        frozenset({sha("a"), sha("b")}), frozenset({"chain", "parent"}),
    )  # fmt: skip
    assert commands[0][-1] == r'name~="^example\\.org/a[:@]"'


def test_a_node_that_is_empty() -> None:
    empty = "aarch64\no\n\n=\n\n=\nREF TYPE DIGEST SIZE PLATFORMS LABELS\n\n=\nKEY PARENT KIND\n\n==\n"
    one, _commands = node(Program(empty.encode()))
    assert one.look("example.org/a") == Seen({}, frozenset(), frozenset())
    assert one.platform == "linux/arm64"


@pytest.mark.parametrize(("config", "snapshotter"), [
    ('[plugins."io.containerd.grpc.v1.cri".containerd]\n  # of zfs\n  discard_unpacked_layers = true\n'
     '  snapshotter = "native"\n[plugins."io.containerd.grpc.v1.cri".containerd.runtimes.kata]\n'
     '  snapshotter = "kata"\n', "native"),
    ("[plugins.'io.containerd.cri.v1.images']\n\tsnapshotter='fuse-overlayfs' # rootless\n"
     "[plugins.'io.containerd.cri.v1.runtime'.containerd.runtimes.kata]\n\tsnapshotter = 'kata'\n", "fuse-overlayfs"),
    ('[plugins."io.containerd.grpc.v1.cri".containerd.runtimes.kata]\n  snapshotter = "kata"\n', "overlayfs"),
    (None, "overlayfs"),
])  # fmt: skip
def test_the_snapshotter_of_a_node(
    config: str | None, snapshotter: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As Kind's nodes are told it, in either version of containerd's configuration."""
    if config:
        (tmp_path / "config.toml").write_text(config)
    changed = _containerd.LOOK.replace("/etc/containerd/", f"{tmp_path}/")
    monkeypatch.setattr(_containerd, "LOOK", changed)
    ctr = tmp_path / "ctr"
    ctr.write_text('#!/bin/sh\n[ $5 != snapshots ] || echo "$7 - Committed"\n')
    ctr.chmod(0o755)
    one = _containerd.Node(
        "n", lambda command: Local(command, 5), ctr=str(ctr), address="/s", namespace="k8s.io", snapshotter=""
    )  # fmt: skip
    assert one.look("example.org/a").chains == {snapshotter}
    one.close()


def test_a_node_that_cannot_be_asked() -> None:
    complaint = b'time="x" level=info msg=noise\nctr: connection error\n'
    one, _commands = node(Program(err=complaint, code=1))
    with pytest.raises(ImageError, match=r"^node n: its containerd can't be asked: connection error$"):
        one.look("example.org/a")


def told(program: Program) -> list[list[str]]:
    """The commands that the program which has looked is given."""
    line = program.given.partition(b"\n")[0].decode()
    return [shlex.split(part) for part in line.split(" && ")]


def test_labels_before_tags_before_releases() -> None:
    program = Program(SAID.encode())
    one, commands = node(program)
    one.look("example.org/a")
    one.settle(image(), Plan(), True)
    assert not program.given
    one.settle(image(), Plan((), True, True, (OWN, TAG), (OLD,)), True)
    said = told(program)
    assert [words[6] for words in said] == ["label", "tag", "label"] and len(commands) == 1
    assert said[0][7:] == [OWN, "io.cri-containerd.pinned=pinned"]
    assert said[1][-2:] == [OWN, TAG]
    assert said[2][7:] == [OLD, "io.cri-containerd.pinned="]


def test_names_that_cannot_be_set() -> None:
    program = Program(SAID.encode())
    one, _commands = node(program)
    one.look("example.org/a")
    program.said, program.ended = (b"", b"ctr: image: not found\n"), 1
    with pytest.raises(ImageError, match=r"^node n: its names can't be set: image: not found$"):
        one.settle(image(), Plan((), False, True), True)


def test_an_import_and_its_names_are_one_program() -> None:
    program = Program(SAID.encode())
    one, commands = node(program)
    one.look("example.org/a")
    one.stream(image(), Plan((), True, True, (OWN, TAG)), True).abort()
    said = told(program)
    assert [words[6] for words in said] == ["import", "label", "tag"] and said[0][-1] == "-"
    assert len(commands) == 1


def test_a_node_is_told_once_what_to_do(tmp_path: Path) -> None:
    """By a shell, of which what follows the first line is the import's."""
    ctr = tmp_path / "ctr"
    ctr.write_text("#!/bin/sh\n[ $6 != import ] || cat\n")
    ctr.chmod(0o755)
    one = _containerd.Node(
        "n", lambda command: Local(command, 5), ctr=str(ctr), address="/s", namespace="a'b", snapshotter="o"
    )  # fmt: skip
    one.look("example.org/a")
    program = one._tell([[str(ctr), "-a", "/s", "-n", "a'b", "images", "import"], ["echo", "and so on"]])
    program.write(b"what is\nimported\n")
    program.close_input()
    assert program.output() == (b"what is\nimported\nand so on\n", b"") and program.code() == 0
    program.close()


def test_what_a_program_has_started_ends_with_it(tmp_path: Path) -> None:
    program = Local(["sh", "-c", f"sleep 30 & echo $! > {tmp_path}/id; wait"], 1)
    while not (tmp_path / "id").exists() or not (child := (tmp_path / "id").read_text()):
        time.sleep(0.01)
    program.abort()
    program.close()
    deadline = time.monotonic() + 5
    while Path(f"/proc/{child.strip()}/stat").exists() and " Z " not in Path(f"/proc/{child.strip()}/stat").read_text():
        assert time.monotonic() < deadline
        time.sleep(0.01)


def test_a_program_that_takes_nothing_and_does_not_end() -> None:
    """Its input is closed, and it stays: it has as long as after the last byte."""
    stream = _containerd.Stream("a", Local(["sh", "-c", "exec <&-; sleep 30"], 1))
    began = time.monotonic()
    while stream.alive:
        stream.put(bytes(1 << 20))
    stream.finish(image())
    assert "neither takes nor says anything" in stream.result()
    assert time.monotonic() - began < 10
