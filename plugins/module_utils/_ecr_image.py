# Copyright: (c) 2026, Windward contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Private to the collection. One image from its registry to all nodes: resolve, look, plan, transfer, settle."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from . import _image
from ._containerd import Node, Stream
from ._image import Image, Plan, Reference
from ._registry import INDEXES, Blob, ImageError, Registry

TRIES = 3  # of a plan that was overtaken by a node's garbage collection, or by another run
OVERTAKEN = ("not found", "already exists")


def fetch(registry: Registry, reference: Reference, platform: str) -> Image:
    """The image's documents for one platform."""
    named = str(reference)
    try:
        target, text = registry.manifest(reference.asked)
    except ImageError as error:
        if not error.result.get("absent") or not (asked := _image.region(reference)):
            raise
        raise ImageError(f"{error}, in {asked}: is that its region?", **error.result) from error
    texts = {target.digest: text}
    document = _image.parsed(text, named)
    manifest = target
    if target.media_type in INDEXES:
        wanted = _image.choose(document, platform, named)
        manifest, text = registry.manifest(wanted.digest)
        texts[manifest.digest] = text
        document = _image.parsed(text, named)
    config, layers = _image.layers(document, named)
    text = registry.document(config)
    texts[config.digest] = text
    configuration = _image.parsed(text, named)
    if (found := _image.platform(configuration)) != platform:
        raise ImageError(f"{named} is not there for {platform}, only for {found or 'no platform'}")
    chain = _image.chain(configuration, len(layers), named)
    return Image(reference, platform, target, manifest, config, layers, texts, chain)


class Delivery:
    """Brings the image to nodes, and keeps what is told of each."""

    def __init__(
        self, registry: Registry, reference: Reference, nodes: Sequence[Node], *, platform: str, pinned: bool,
        alone: bool = False, say: Callable[..., None] = lambda _line, at_once=False: None,
    ) -> None:
        self._registry, self._reference, self._nodes = registry, reference, nodes
        self._platform, self._pinned, self._alone, self._say = platform, pinned, alone, say
        self._read = self._total = 0
        self.rows: dict[str, dict[str, Any]] = {}

    def run(self, check_mode: bool) -> Image:
        try:
            return self._run(check_mode)
        finally:
            for node in self._nodes:
                node.close()

    def _run(self, check_mode: bool) -> Image:
        image = self._look()
        plans = self._plans(image, self._nodes)
        self.rows = {
            node.name: {
                "changed": check_mode and bool(plan.steps),
                "steps": plan.steps,
                "lacks": [blob.digest for blob in plan.blobs],
                "bytes": plan.size if check_mode else 0,
                "seconds": 0.0,
            }
            for node, plan in plans.items()
        }
        if check_mode:
            return image
        began = time.monotonic()
        for left in reversed(range(TRIES)):
            troubles = self._transfer(image, plans, began)
            if not troubles:
                break
            if not left or not all(any(one in trouble for one in OVERTAKEN) for trouble in troubles.values()):
                raise ImageError("; ".join(f"node {node.name}: {trouble}" for node, trouble in troubles.items()))
            self._each(troubles, lambda node: node.look(self._reference.repository))
            plans = self._plans(image, troubles)
        return image

    def _each(self, nodes: Any, work: Callable[[Node], Any]) -> list[Any]:
        """On all nodes at once."""
        with ThreadPoolExecutor(max(len(list(nodes)), 1)) as pool:
            return list(pool.map(work, nodes))

    def _look(self) -> Image:
        """The registry is asked while the nodes are, for the platform that those of this computer have."""
        likely = self._platform or _image.own_platform()
        with ThreadPoolExecutor(1) as pool:
            early = pool.submit(fetch, self._registry, self._reference, likely)
            self._each(self._nodes, lambda node: node.look(self._reference.repository))
        platforms = sorted({node.platform for node in self._nodes})
        if not self._platform and len(platforms) > 1:
            raise ImageError(f"the nodes are of different platforms, {', '.join(platforms)}: one task for each of them")
        wanted = self._platform or platforms[0]
        return early.result() if wanted == likely else fetch(self._registry, self._reference, wanted)

    def _plans(self, image: Image, nodes: Iterable[Node]) -> dict[Node, Plan]:
        return {node: _image.plan(image, node.seen, self._pinned, self._alone) for node in nodes}

    # -- transfer ----------------------------------------------------------------------------------------------------

    def _transfer(self, image: Image, plans: dict[Node, Plan], began: float) -> dict[Node, str]:
        """Each blob is read once, for all nodes that lack it. Returned is what went wrong on which node."""
        streams: dict[Node, Stream] = {}
        try:
            for node, plan in plans.items():
                if plan.imports:
                    streams[node] = node.stream(image, plan, self._pinned)
            self._total += sum(blob.size for blob in image.blobs if any(blob in plan.blobs for plan in plans.values()))
            for blob in image.blobs:
                takers = [stream for node, stream in streams.items() if blob in plans[node].blobs]
                self._send(image, blob, takers)
            if streams:
                self._unmoved(image)
                self._say("all is sent, the nodes unpack it", at_once=True)
            for stream in streams.values():
                stream.finish(image)
        except BaseException:
            for stream in streams.values():
                stream.abort()
            raise
        finally:
            for node, stream in streams.items():
                self.rows[node.name]["bytes"] += stream.sent

        def settle(node: Node) -> str:
            try:
                if node not in streams:
                    node.settle(image, plans[node], self._pinned)
                elif trouble := streams[node].result():
                    if image.names[0] not in node.seen.names:
                        node.forget(image.names[0])
                    return trouble
                self.rows[node.name]["changed"] = bool(self.rows[node.name]["steps"])
            except ImageError as exc:
                return str(exc).removeprefix(f"node {node.name}: ")
            finally:
                self.rows[node.name]["seconds"] = round(time.monotonic() - began, 2)
            return ""

        ends = zip(plans, self._each(plans, settle))
        return {node: trouble for node, trouble in ends if trouble}

    def _send(self, image: Image, blob: Blob, takers: list[Stream]) -> None:
        if not any(stream.alive for stream in takers):
            return
        for stream in takers:
            stream.begin(blob)
        text = image.texts.get(blob.digest)
        for chunk in self._registry.blob(blob) if text is None else (text,):
            for stream in takers:
                stream.put(chunk)
            self._read += len(chunk)
            self._say(f"{self._read / 1e6:.0f} of {self._total / 1e6:.0f} MB")
            if not any(stream.alive for stream in takers):
                break
        for stream in takers:
            stream.end(blob)

    def _unmoved(self, image: Image) -> None:
        """What is imported under a tag is what the tag stands for."""
        if self._reference.tag and (now := self._registry.resolve(self._reference.tag)) != image.target.digest:
            raise ImageError(
                f"{self._reference} moved while it was read, from {image.target.digest} to {now or 'nothing'}: "
                "run it once more"
            )
