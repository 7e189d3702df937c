# Copyright: (c) 2026, Windward contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Whatever goes wrong gets a sentence, and nothing of the image is known to the node by any name."""

from __future__ import annotations

import subprocess
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.windward.airflow.plugins.module_utils import _containerd, _ecr_image, _image
from ansible_collections.windward.airflow.plugins.module_utils._pipes import Local
from ansible_collections.windward.airflow.plugins.module_utils._registry import ImageError, Registry
from fault_proxy import FaultProxy, answer, broken_off, cut_short, reset_before, slow
from images import INDEX, Deliver, Layer, Made, Pusher, digest, noise
from servers import ECR_LOGIN, Containerd, DockerRegistry, TokenServer

BLOBS, MANIFESTS = "/v2/.*/blobs/.*", "/v2/.*/manifests/.*"


@pytest.fixture
def made(push: Pusher, layers: list[Layer]) -> Made:
    return push.image("1.0", layers, others=("linux/arm64", "unknown/unknown"))


def refused(node: Containerd, result: dict[str, Any]) -> str:
    assert result.get("failed"), result
    assert not any(row["changed"] for row in result.get("nodes", {}).values())
    assert not node.images()
    return str(result["msg"])


# -- what was asked for ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("image", "says"),
    [
        ("Registry.example.org/Team/x:1", "is no name of an image"),
        ("registry.example.org:99999/x:1", "there is no port 99999"),
        ("123456789012.dkr.ecr.amazonaws.com/x:1", "is no registry of ECR"),
        ("registry.example.org/x", "has no tag"),
        (f"registry.example.org/x:1@sha256:{'0' * 64}", "has both a tag and a digest"),
        ("registry.example.org/x@sha256:12", "is no digest"),
        ("", "is no name of an image"),
    ],
)
def test_names_that_cannot_be(deliver: Deliver, node: Containerd, image: str, says: str) -> None:
    assert says in refused(node, deliver(image=image))


def test_no_such_tag_and_no_such_repository(deliver: Deliver, node: Containerd, made: Made, repository: str) -> None:
    assert refused(node, deliver("2.0")).endswith(f"{repository}:2.0: there is no such image")
    said = refused(node, deliver(image="registry.example.org/nobody/has-it:1"))
    assert "nobody/has-it:1: " in said and ("has no such repository" in said or "there is no such image" in said)


def test_a_platform_that_is_not_there(deliver: Deliver, node: Containerd, made: Made) -> None:
    assert "is not there for linux/s390x, only for linux/amd64, linux/arm64" in refused(
        node, deliver(platform="linux/s390x")
    )
    assert "'amd64' is no platform" in refused(node, deliver(platform="amd64"))


def test_a_single_manifest_of_another_platform(deliver: Deliver, node: Containerd, push: Pusher) -> None:
    push.image("1.0", [Layer("a", b"a")], index=False, machine="arm64")
    assert "is not there for linux/amd64, only for linux/arm64" in refused(node, deliver())


def test_what_is_no_image(deliver: Deliver, node: Containerd, push: Pusher) -> None:
    empty = {**push.blob(b"{}"), "mediaType": "application/vnd.oci.empty.v1+json"}
    push.document("1.0", INDEX, {"schemaVersion": 2, "mediaType": INDEX, "manifests": []})
    assert "only for no platform" in refused(node, deliver())
    kind = "application/vnd.oci.image.manifest.v1+json"
    push.document("2.0", kind, {"schemaVersion": 2, "mediaType": kind, "config": empty, "layers": [empty]})
    assert "is not there for linux/amd64, only for no platform" in refused(node, deliver("2.0"))


def test_a_url_that_is_no_registry(deliver: Deliver, node: Containerd, spoiled: FaultProxy, made: Made) -> None:
    spoiled.spoil("GET", MANIFESTS, answer(200, b"<title>Welcome</title>", "text/html"))
    assert "is text/html, which is no image" in refused(node, deliver(registry_url=spoiled.url))
    assert "begins with neither" in refused(node, deliver(registry_url="registry.example.org"))
    assert "Connection refused" in refused(node, deliver(registry_url="http://127.0.0.1:1", retry_timeout=0))


def test_plain_http_only_when_said_so(deliver: Deliver, node: Containerd, made: Made, registry: DockerRegistry) -> None:
    said = refused(node, deliver(registry_url=registry.url.replace("http", "https"), retry_timeout=0))
    assert "GET https://127.0.0.1" in said


def test_a_proxy_of_the_environment(
    deliver: Deliver, node: Containerd, spoiled: FaultProxy, made: Made, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("http_proxy", spoiled.url)
    assert deliver()["changed"]
    assert spoiled.count("GET", BLOBS) == 3 and all(one.absolute for one in spoiled.seen)


# -- log-in ------------------------------------------------------------------------------------------------------------


@pytest.fixture
def basic(ecr_registry: DockerRegistry) -> Iterator[FaultProxy]:
    proxy = FaultProxy(ecr_registry.url)
    yield proxy
    proxy.stop()


def login(pair: tuple[str, str]) -> dict[str, str]:
    return {"registry_username": pair[0], "registry_password": pair[1]}


def test_basic(deliver: Deliver, node: Containerd, basic: FaultProxy, made: Made) -> None:
    assert deliver(registry_url=basic.url, **login(ECR_LOGIN))["changed"]
    assert [one.status for one in basic.seen].count(401) == 1


def test_basic_refused_and_not_given(deliver: Deliver, node: Containerd, basic: FaultProxy, made: Made) -> None:
    wrong = deliver(registry_url=basic.url, **login(("AWS", "pw-that-is-not")))
    assert "refuses the log-in" in refused(node, wrong) and wrong["refused"] is True
    assert "give registry_username and registry_password" in refused(node, deliver(registry_url=basic.url))


def test_a_login_that_ends_while_blobs_are_read(
    deliver: Deliver, node: Containerd, basic: FaultProxy, made: Made
) -> None:
    """Only who logged in can do that again: the module says that it is that."""
    ended = b'{"errors": [{"code": "DENIED", "message": "Your authorization token has expired. Reauthenticate."}]}'
    basic.spoil("GET", BLOBS, answer(403, ended), first=2, last=99)
    over = deliver(registry_url=basic.url, **login(ECR_LOGIN))
    assert "token has expired" in refused(node, over) and over["refused"] is True


def test_403_is_not_401(deliver: Deliver, node: Containerd, basic: FaultProxy, made: Made) -> None:
    denied = b'{"errors": [{"code": "DENIED", "message": "not authorized to perform ecr:BatchGetImage"}]}'
    basic.spoil("GET", MANIFESTS, answer(403, denied), last=99)
    said = deliver(registry_url=basic.url, **login(ECR_LOGIN))
    assert "who is logged in may not pull it: not authorized to perform ecr:BatchGetImage" in refused(node, said)
    assert "refused" not in said and len(basic.seen) == 1


@pytest.fixture
def bearer(token_registry: DockerRegistry, tokens: TokenServer) -> Iterator[FaultProxy]:
    proxy = FaultProxy(token_registry.url)
    tokens.asked.clear()
    tokens.seconds, tokens.grants = 300, True
    yield proxy
    proxy.stop()


def test_bearer(
    deliver: Deliver, node: Containerd, bearer: FaultProxy, tokens: TokenServer, made: Made, repository: str
) -> None:
    assert deliver(registry_url=bearer.url, **login(TokenServer.LOGIN))["changed"]
    (asked,) = tokens.asked
    assert (asked["scope"], asked["service"]) == (f"repository:{repository}:pull", "registry-of-the-tests")
    # The password is the token server's alone.
    assert all(one.headers.get("Authorization", "Bearer ").startswith("Bearer ") for one in bearer.seen)


def test_bearer_refused(deliver: Deliver, node: Containerd, bearer: FaultProxy, made: Made) -> None:
    said = refused(node, deliver(registry_url=bearer.url, **login(("reader", "pw-that-is-not"))))
    assert "/token answers 401: registry_username and registry_password are wrong" in said


def test_a_token_that_grants_nothing(
    deliver: Deliver, node: Containerd, bearer: FaultProxy, tokens: TokenServer, made: Made
) -> None:
    """As Docker Hub gives it for a repository that is yet to be made: the log-in is right."""
    tokens.grants = False
    said = deliver(registry_url=bearer.url, **login(TokenServer.LOGIN))
    assert "there is no such repository, or reader may not pull it" in refused(node, said) and "refused" not in said


def test_a_token_that_ends_is_renewed_before_it_is_used(
    deliver: Deliver, node: Containerd, bearer: FaultProxy, tokens: TokenServer, made: Made
) -> None:
    tokens.seconds = 1
    bearer.spoil("GET", MANIFESTS, slow(1.1), first=2, last=2)
    assert deliver(registry_url=bearer.url, **login(TokenServer.LOGIN))["changed"]
    assert len(tokens.asked) >= 2
    assert [one.status for one in bearer.seen].count(401) == 1


def test_a_token_that_is_refused_in_the_middle_is_renewed_once(
    deliver: Deliver, node: Containerd, bearer: FaultProxy, tokens: TokenServer, made: Made
) -> None:
    def dead(handler: Any, body: bytes) -> None:
        handler.headers.replace_header("Authorization", "Bearer dead.dead.dead")
        handler.give(*handler.forward(body))

    bearer.spoil("GET", BLOBS, dead, first=2, last=2)
    assert deliver(registry_url=bearer.url, **login(TokenServer.LOGIN))["changed"]
    assert len(tokens.asked) == 2
    node.empty()
    bearer.reset().spoil("GET", BLOBS, dead, first=2, last=99)
    assert "refuses the log-in" in refused(node, deliver(registry_url=bearer.url, **login(TokenServer.LOGIN)))
    assert len(tokens.asked) == 4


# -- answers that are not as they should be ----------------------------------------------------------------------------


def test_a_redirect_to_another_host_gets_no_login(
    deliver: Deliver, node: Containerd, basic: FaultProxy, spoiled: FaultProxy, made: Made
) -> None:
    """As ECR sends everybody to S3, which refuses who brings an Authorization."""

    def away(handler: Any, _body: bytes) -> None:
        handler.give(307, [("Location", f"{spoiled.url}{handler.path}?X-Signature=secret")], b"")

    basic.spoil("GET", BLOBS, away, last=99)
    assert deliver(registry_url=basic.url, **login(ECR_LOGIN))["changed"]
    there = spoiled.asked("GET", BLOBS)
    assert len(there) == 3 and not any("Authorization" in one.headers for one in there)
    node.empty()
    spoiled.spoil("GET", BLOBS, answer(403, b"<Error>AccessDenied</Error>", "application/xml"), last=99)
    said = refused(node, deliver(registry_url=basic.url, **login(ECR_LOGIN)))
    assert f"leads to 127.0.0.1:{spoiled.port}, which answers 403 Forbidden: may this computer" in said
    assert "secret" not in said


def test_redirects_without_end_and_to_nowhere(
    deliver: Deliver, node: Containerd, spoiled: FaultProxy, made: Made
) -> None:
    def round_about(handler: Any, _body: bytes) -> None:
        handler.give(302, [("Location", handler.path)], b"")

    spoiled.spoil("GET", BLOBS, round_about, last=99)
    assert "leads from one redirect to another" in refused(node, deliver(registry_url=spoiled.url))
    spoiled.reset().spoil("GET", BLOBS, answer(307, Location="ftp://example.org/x?secret"))
    said = refused(node, deliver(registry_url=spoiled.url))
    assert said.endswith("redirects to ftp://example.org/x, which is not https")
    spoiled.reset().spoil("GET", BLOBS, answer(307, Location="http://[?secret"))
    assert refused(node, deliver(registry_url=spoiled.url)).endswith("redirects to nowhere, which is not https")


@pytest.mark.parametrize("fault", [broken_off, cut_short, reset_before])
def test_a_blob_that_breaks_off_is_taken_up_again(
    deliver: Deliver, node: Containerd, spoiled: FaultProxy, made: Made, fault: Any
) -> None:
    spoiled.spoil("GET", f"/v2/.*/blobs/{made.layers[0]}", fault, last=2)
    assert deliver(registry_url=spoiled.url)["changed"]
    asked = spoiled.asked("GET", f"/v2/.*/blobs/{made.layers[0]}")
    assert len(asked) == 3 and (fault is reset_before or all("Range" in one.headers for one in asked[1:]))


def test_a_registry_that_knows_no_ranges(deliver: Deliver, node: Containerd, spoiled: FaultProxy, made: Made) -> None:
    def whole(handler: Any, body: bytes) -> None:
        del handler.headers["Range"]
        handler.give(*handler.forward(body))

    spoiled.spoil("GET", f"/v2/.*/blobs/{made.layers[0]}", broken_off)
    spoiled.spoil("GET", f"/v2/.*/blobs/{made.layers[0]}", whole, last=9)
    assert deliver(registry_url=spoiled.url)["changed"]
    assert [one.status for one in spoiled.asked("GET", f"/v2/.*/blobs/{made.layers[0]}")] == [200, 200]


def test_a_proxy_that_ends_each_connection_early(
    deliver: Deliver, node: Containerd, spoiled: FaultProxy, push: Pusher
) -> None:
    """As often as it likes, as long as something comes."""
    made = push.image("1.0", [Layer("big", noise(9))])

    def part(handler: Any, body: bytes) -> None:
        status, headers, content = handler.forward(body)
        handler.give(status, headers, content[: 5 << 18], length=len(content))
        handler.close_connection = True

    spoiled.spoil("GET", f"/v2/.*/blobs/{made.layers[0]}", part, last=99)
    assert deliver(registry_url=spoiled.url)["changed"]
    assert spoiled.count("GET", f"/v2/.*/blobs/{made.layers[0]}") > 6


def test_a_blob_that_always_breaks_off(deliver: Deliver, node: Containerd, spoiled: FaultProxy, made: Made) -> None:
    def nothing(handler: Any, _body: bytes) -> None:
        handler.give(200, [], b"", length=made.sizes[made.layers[0]])
        handler.close_connection = True

    spoiled.spoil("GET", f"/v2/.*/blobs/{made.layers[0]}", nothing, last=99)
    assert "broke off 6 times, last after 0 of" in refused(node, deliver(registry_url=spoiled.url))


@pytest.mark.parametrize("spoil", ["one bit", "longer", "shorter"])
def test_a_blob_that_is_another(
    deliver: Deliver, node: Containerd, spoiled: FaultProxy, made: Made, spoil: str
) -> None:
    def other(handler: Any, body: bytes) -> None:
        status, headers, content = handler.forward(body)
        changed = bytes([content[0], content[1], content[2] ^ 1]) + content[3:]
        handler.give(status, headers, {"one bit": changed, "longer": content + b"x", "shorter": content[:-1]}[spoil])

    spoiled.spoil("GET", f"/v2/.*/blobs/{made.layers[0]}", other, last=99)
    said = refused(node, deliver(registry_url=spoiled.url))
    assert said.startswith(made.layers[0])
    assert ("what came has the digest" if spoil == "one bit" else "bytes in the registry") in said


def test_an_index_that_is_another(deliver: Deliver, node: Containerd, spoiled: FaultProxy, made: Made) -> None:
    def other(handler: Any, body: bytes) -> None:
        status, headers, content = handler.forward(body)
        handler.give(status, headers, content.replace(b"linux", b"LINUX"))

    spoiled.spoil("GET", MANIFESTS, other)
    assert "changed on its way" in refused(node, deliver(registry_url=spoiled.url))


def test_patience(deliver: Deliver, node: Containerd, spoiled: FaultProxy, made: Made) -> None:
    spoiled.spoil("GET", MANIFESTS, answer(429, Retry_After="1"))
    spoiled.spoil("GET", BLOBS, answer(503), last=2)
    began = time.monotonic()
    assert deliver(registry_url=spoiled.url, retry_timeout=10)["changed"]
    assert time.monotonic() - began > 1
    node.empty()
    spoiled.reset().spoil("GET", MANIFESTS, answer(429, Retry_After="3600"))
    assert "429 Too Many Requests, wait 3600 s" in refused(node, deliver(registry_url=spoiled.url))
    assert spoiled.count("GET") == 1
    spoiled.reset().spoil("GET", BLOBS, answer(502), last=99)
    assert "502 Bad Gateway" in refused(node, deliver(registry_url=spoiled.url, retry_timeout=1))


def test_a_registry_that_is_silent(deliver: Deliver, node: Containerd, spoiled: FaultProxy, made: Made) -> None:
    def halting(handler: Any, body: bytes) -> None:
        status, headers, content = handler.forward(body)
        handler.give(status, headers, content[:1000], length=len(content))
        time.sleep(2)
        handler.close_connection = True

    spoiled.spoil("GET", f"/v2/.*/blobs/{made.layers[0]}", halting, last=1)
    assert deliver(registry_url=spoiled.url, timeout=0.5)["changed"]
    node.empty()
    spoiled.spoil("GET", MANIFESTS, slow(2), last=99)
    assert "silent for 0.5 s" in refused(node, deliver(registry_url=spoiled.url, timeout=0.5, retry_timeout=0))


def test_a_tag_that_moves_while_it_is_read(
    deliver: Deliver, node: Containerd, spoiled: FaultProxy, push: Pusher, made: Made
) -> None:
    def move(handler: Any, body: bytes) -> None:
        push.image("1.0", [Layer("other", b"other")])
        handler.give(*handler.forward(body))

    spoiled.spoil("GET", f"/v2/.*/blobs/{made.layers[-1]}", move)
    assert f"moved while it was read, from {made.target} to sha256:" in refused(node, deliver(registry_url=spoiled.url))
    assert deliver(registry_url=spoiled.url)["changed"]


def test_a_tag_that_is_removed_while_it_is_read(
    deliver: Deliver, node: Containerd, spoiled: FaultProxy, made: Made
) -> None:
    spoiled.spoil("HEAD", MANIFESTS, answer(404))
    assert f"moved while it was read, from {made.target} to nothing" in refused(node, deliver(registry_url=spoiled.url))


# -- nodes -------------------------------------------------------------------------------------------------------------


def test_a_blob_that_is_collected_between_look_and_import(
    deliver: Deliver, node: Containerd, spoiled: FaultProxy, push: Pusher, made: Made, layers: list[Layer],
    repository: str, registry: DockerRegistry,
) -> None:
    deliver()
    name = f"registry.example.org/{repository}"
    push.image("2.0", [layers[0], Layer("top", b"of the second")])

    def collect(handler: Any, body: bytes) -> None:
        node.ctr("images", "rm", "--sync", *node.ctr("images", "ls", "-q").split())
        assert made.layers[0] not in node.content()
        handler.give(*handler.forward(body))

    spoiled.spoil("GET", BLOBS, collect, first=2, last=2)
    done = deliver("2.0", registry_url=spoiled.url)
    assert done.get("changed"), done
    assert node.unpacked(f"{name}:2.0")


def test_another_run_that_sets_the_tag_meanwhile(
    deliver: Deliver, node: Containerd, made: Made, repository: str, tmp_path: Path
) -> None:
    """`ctr images tag --force` removes a name and makes it, between which another one may make it."""
    ctr = tmp_path / "ctr"
    ctr.write_text(f"""#!/bin/sh
case "$*" in *" images tag "*)
  if mkdir {tmp_path}/met 2>/dev/null; then {node.ctr_program} "$@"; echo "ctr: image: already exists" >&2; exit 1; fi
esac
exec {node.ctr_program} "$@"
""")
    ctr.chmod(0o755)
    done = deliver(ctr=str(ctr))
    assert done.get("changed"), done
    assert node.unpacked(f"registry.example.org/{repository}:1.0") and not deliver()["changed"]


def test_runs_at_once(node: Containerd, registry: DockerRegistry, push: Pusher, repository: str) -> None:
    push.image("1.0", [Layer("base", noise(20)), Layer("top", b"top")])
    runs = [delivery(registry, repository, [start(node, str(number))]) for number in range(3)]
    with ThreadPoolExecutor(3) as pool:
        list(pool.map(lambda run: run.run(False), runs))
    assert node.unpacked(f"registry.example.org/{repository}:1.0")
    last = delivery(registry, repository, [start(node, "last")])
    last.run(False)
    assert not last.rows["last"]["changed"]


def test_a_node_that_collects_whatever_it_says_to_have(
    node: Containerd, registry: DockerRegistry, made: Made, repository: str
) -> None:
    """Planned twice more, and no oftener."""
    looks = []

    class Forgetful(_containerd.Node):
        def look(self, repository: str) -> _image.Seen:
            seen = super().look(repository)
            self.seen = _image.Seen(seen.names, frozenset({made.layers[0]}), seen.chains)
            looks.append(seen)
            return self.seen

    with pytest.raises(ImageError, match="not found"):
        delivery(registry, repository, [start(node, "a", Forgetful)]).run(False)
    assert len(looks) == 3 and not node.images()


def start(node: Containerd, name: str, kind: type[_containerd.Node] = _containerd.Node, **changes: Any) -> Any:
    where = {**node.options, "namespace": "k8s.io", "snapshotter": "overlayfs", **changes}
    return kind(name, lambda command: Local(command, 20), **where)


def delivery(registry: DockerRegistry | FaultProxy, repository: str, nodes: list[Any]) -> _ecr_image.Delivery:
    reference = _image.parse(f"registry.example.org/{repository}:1.0")
    return _ecr_image.Delivery(
        Registry(registry.url, repository, retry_timeout=3), reference, nodes, platform="", pinned=True
    )


@pytest.fixture
def second(containerd: Containerd, work: Path) -> Iterator[Containerd]:
    version = "1.7" if containerd.directory.name.endswith("1.7") else "2"
    server = Containerd(version, work / f"second-{version}")
    yield server
    server.stop()


def test_two_nodes_share_what_is_read(
    node: Containerd, second: Containerd, registry: DockerRegistry, push: Pusher, made: Made, repository: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    given: list[int] = []  # what goes into the programs on the nodes, whatever the module says that it sent
    write = Local.write
    monkeypatch.setattr(Local, "write", lambda self, data: (given.append(len(data)), write(self, data))[1])
    before = registry.lines()
    both = delivery(registry, repository, [start(node, "a"), start(second, "b")])
    both.run(False)
    assert registry.written(before) <= 1.05 * made.size()
    assert [row["bytes"] for row in both.rows.values()] == [made.size()] * 2
    assert made.size() * 2 < sum(given) <= made.size() * 2 * 1.05
    # One has it, the other only a part.
    push.image("1.0", [Layer("base", noise(3)), Layer("top", b"2")])
    second.empty()
    again = delivery(registry, repository, [start(node, "a"), start(second, "b")])
    again.run(False)
    assert again.rows["a"]["bytes"] < 5000 < again.rows["b"]["bytes"]
    assert all(server.unpacked(f"registry.example.org/{repository}:1.0") for server in (node, second))


def test_a_node_that_is_not_there(
    deliver: Deliver, node: Containerd, registry: DockerRegistry, made: Made, repository: str, tmp_path: Path
) -> None:
    said = refused(node, deliver(address=str(tmp_path / "none")))
    assert "its containerd can't be asked" in said
    assert "there is no program" in refused(node, deliver(ctr="/nowhere/ctr"))


def test_a_node_that_goes_does_not_keep_the_other_waiting(
    node: Containerd, second: Containerd, spoiled: FaultProxy, made: Made, repository: str
) -> None:
    def kill(handler: Any, body: bytes) -> None:
        second.process.kill()
        second.process.wait()
        handler.give(*handler.forward(body))

    spoiled.spoil("GET", f"/v2/.*/blobs/{made.layers[0]}", kill)
    both = delivery(spoiled, repository, [start(node, "a"), start(second, "b")])
    with pytest.raises(ImageError, match=r"^node b: "):
        both.run(False)
    assert {name: row["changed"] for name, row in both.rows.items()} == {"a": True, "b": False}
    assert node.unpacked(f"registry.example.org/{repository}:1.0")


def test_a_disk_that_is_full(
    containerd: Containerd, registry: DockerRegistry, push: Pusher, repository: str, work: Path
) -> None:
    version = "1.7" if containerd.directory.name.endswith("1.7") else "2"
    small = work / f"small-{version}"
    small.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=12m", "tmpfs", str(small)], check=True)
    try:
        node = Containerd(version, small)
        try:
            # Too large packed; and one that fits packed, and not beside itself unpacked.
            for megabytes in (14, 7):
                push.image("1.0", [Layer("big", noise(megabytes))])
                with pytest.raises(ImageError, match="no space left on device"):
                    delivery(registry, repository, [start(node, "a")]).run(False)
                assert not node.images()
        finally:
            node.stop()
    finally:
        subprocess.run(["umount", "-l", str(small)], check=True)


def test_a_layer_that_cannot_be_unpacked(
    deliver: Deliver, node: Containerd, push: Pusher, layers: list[Layer], repository: str
) -> None:
    """By then containerd has given it a name, which goes again, and the tag still stands for what it did."""

    class Broken(Layer):
        packed = b"no archive at all"

    first = push.image("latest", layers)
    assert deliver("latest")["changed"]
    second = push.image("latest", [layers[0], Broken("b", b"b")])
    said = deliver("latest")
    assert "failed to extract layer" in said["msg"] or "unpack" in said["msg"], said
    name = f"registry.example.org/{repository}"
    assert {one: target for one, (target, _labels) in node.images().items()} == {
        f"{name}:latest": first.target, f"{name}@{first.target}": first.target,
    }  # fmt: skip
    assert second.target not in node.images()


def test_a_node_that_takes_nothing_any_more(
    node: Containerd, registry: DockerRegistry, push: Pusher, repository: str
) -> None:
    """Its program hangs, as on a disk that does not answer."""
    push.image("1.0", [Layer("big", noise(20))])

    class Stuck(_containerd.Node):
        def stream(self, *_words: Any) -> _containerd.Stream:
            return _containerd.Stream(self.name, Local(["sleep", "60"], 1))

    began = time.monotonic()
    with pytest.raises(ImageError, match="neither takes nor says anything"):
        delivery(registry, repository, [start(node, "a", Stuck)]).run(False)
    assert time.monotonic() - began < 20 and threading.active_count() < 20


def test_a_run_that_is_killed_is_completed_by_the_next(
    deliver: Deliver, node: Containerd, spoiled: FaultProxy, made: Made, repository: str
) -> None:
    import json
    import os
    import signal
    import sys

    reached = threading.Event()

    def hold(handler: Any, body: bytes) -> None:
        reached.set()
        time.sleep(1)
        handler.give(*handler.forward(body))

    spoiled.spoil("GET", f"/v2/.*/blobs/{made.layers[-1]}", hold)
    arguments = {"ANSIBLE_MODULE_ARGS": {
        "image": f"registry.example.org/{repository}:1.0", "registry_url": spoiled.url, **node.options,
    }}
    code = "from ansible.module_utils import basic; basic._ANSIBLE_PROFILE = 'legacy'; "
    code += f"basic._ANSIBLE_ARGS = {json.dumps(arguments).encode()!r}; "
    code += "from ansible_collections.windward.airflow.plugins.modules import ecr_image; ecr_image.main()"
    root = Path(__file__).parents[2] / ".collections"
    process = subprocess.Popen([sys.executable, "-c", code], env={**os.environ, "PYTHONPATH": str(root)})
    assert reached.wait(60)
    process.send_signal(signal.SIGKILL)
    process.wait()
    time.sleep(0.5)
    assert not node.images()
    assert deliver()["changed"] and node.unpacked(f"registry.example.org/{repository}:1.0")
    assert digest(b"") not in node.content()
