# Copyright: (c) 2026, Windward contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""What a node has after the module, by a real registry and a real containerd."""

from __future__ import annotations

import pytest
from images import DOCKER_MANIFEST, GZIP, PLAIN, ZSTD, Deliver, Layer, Pusher, noise
from servers import Containerd, DockerRegistry

PIN = "io.cri-containerd.pinned=pinned"


def test_brought_as_after_a_pull(
    node: Containerd, push: Pusher, deliver: Deliver, layers: list[Layer], repository: str
) -> None:
    made = push.image("1.0", layers, others=("linux/arm64",))
    foreseen = deliver(check=True)
    (row,) = foreseen["nodes"].values()
    assert foreseen["changed"] and set(row["lacks"]) == made.blobs and row["bytes"] == made.size()
    assert not node.images() and not node.content()

    done = deliver()
    assert done["changed"], done
    assert (done["digest"], done["manifest_digest"], done["config_digest"]) == (made.target, made.manifest, made.config)
    assert (done["platform"], done["size"]) == ("linux/amd64", made.size())
    (row,) = done["nodes"].values()
    assert (row["changed"], row["bytes"], row["steps"]) == (True, made.size(), ["import", "tag", "label"])

    name = f"registry.example.org/{repository}"
    images = node.images()
    assert {one: target for one, (target, _labels) in images.items()} == {
        f"{name}:1.0": made.target, f"{name}@{made.target}": made.target,
    }
    assert all(PIN in labels for _target, labels in images.values())
    # The index whole, of the other platform nothing.
    assert node.content() >= made.blobs and not node.content() & made.others
    assert node.unpacked(f"{name}:1.0")


def test_a_second_run_changes_nothing(node: Containerd, push: Pusher, deliver: Deliver, layers: list[Layer]) -> None:
    push.image("1.0", layers)
    assert deliver()["changed"]
    again = deliver()
    assert not again["changed"] and [row["bytes"] for row in again["nodes"].values()] == [0]
    assert not deliver(check=True)["changed"]


def test_only_the_layer_that_changed_is_read_and_sent(
    node: Containerd, push: Pusher, deliver: Deliver, registry: DockerRegistry, layers: list[Layer], repository: str
) -> None:
    first = push.image("1.0", layers)
    deliver()
    second = push.image("2.0", [layers[0], Layer("top", b"another line of the DAG")])
    before = registry.lines()
    done = deliver("2.0")
    (row,) = done["nodes"].values()
    assert row["bytes"] == second.size(first.layers[0])
    assert registry.written(before) <= 1.05 * row["bytes"]
    assert set(node.images()) >= {f"registry.example.org/{repository}:{tag}" for tag in ("1.0", "2.0")}


def test_a_tag_that_moved_lets_the_former_image_go(
    node: Containerd, push: Pusher, deliver: Deliver, layers: list[Layer], repository: str
) -> None:
    first = push.image("latest", layers)
    deliver("latest")
    second = push.image("latest", [layers[0], Layer("top", b"moved")])
    done = deliver("latest")
    (row,) = done["nodes"].values()
    assert row["steps"] == ["import", "tag", "label", "release"]
    images, name = node.images(), f"registry.example.org/{repository}"
    assert images[f"{name}:latest"][0] == images[f"{name}@{second.target}"][0] == second.target
    assert PIN in images[f"{name}:latest"][1] and PIN not in images[f"{name}@{first.target}"][1]
    assert not deliver("latest")["changed"]


def test_former_tags_are_released(
    node: Containerd, push: Pusher, deliver: Deliver, layers: list[Layer], repository: str
) -> None:
    for tag in ("1.0", "2.0"):
        push.image(tag, [layers[0], Layer("top", tag.encode())])
        deliver(tag)
    (row,) = deliver("2.0", release_others=True)["nodes"].values()
    assert row["steps"] == ["release"]
    pinned = {name for name, (_target, labels) in node.images().items() if PIN in labels}
    assert len(pinned) == 2 and f"registry.example.org/{repository}:2.0" in pinned
    assert not deliver("2.0", release_others=True)["changed"]


def test_by_digest_and_not_pinned(
    node: Containerd, push: Pusher, deliver: Deliver, layers: list[Layer], repository: str
) -> None:
    made = push.image("1.0", layers, index=False, kind=DOCKER_MANIFEST)
    assert deliver(made.target, pinned=False)["changed"]
    name = f"registry.example.org/{repository}@{made.target}"
    assert list(node.images()) == [name] and PIN not in node.images()[name][1]
    assert not deliver(made.target, pinned=False)["changed"]
    (row,) = deliver(made.target)["nodes"].values()
    assert row["steps"] == ["label"] and PIN in node.images()[name][1]
    assert deliver(made.target, pinned=False)["changed"] and PIN not in node.images()[name][1]


@pytest.mark.parametrize("kind", [GZIP, ZSTD, PLAIN])
def test_layers_however_packed(node: Containerd, push: Pusher, deliver: Deliver, kind: str, repository: str) -> None:
    push.image("1.0", [Layer("a", noise(0.3), kind), Layer("b", b"b", kind)])
    assert deliver()["changed"] and node.unpacked(f"registry.example.org/{repository}:1.0")
    assert not deliver()["changed"]


def test_a_name_that_is_gone_and_layers_that_were_not_unpacked(
    node: Containerd, push: Pusher, deliver: Deliver, layers: list[Layer], repository: str
) -> None:
    push.image("1.0", layers)
    deliver()
    name = f"registry.example.org/{repository}"
    node.ctr("images", "rm", f"{name}:1.0")
    (row,) = deliver()["nodes"].values()
    assert row["steps"] == ["tag", "label"] and row["bytes"] == 0
    assert f"{name}:1.0" in node.images()
    # As a killed import leaves it: known by name, and not unpacked.
    rows = [line.split() for line in node.ctr("snapshots", "ls").splitlines()[1:]]
    (top,) = {row[0] for row in rows} - {row[1] for row in rows}
    node.ctr("snapshots", "rm", top)
    assert not node.unpacked(f"{name}:1.0")
    done = deliver()
    (row,) = done["nodes"].values()
    assert row["steps"] == ["import"] and row["bytes"] == 0, done
    assert node.unpacked(f"{name}:1.0")
    assert not deliver()["changed"]
