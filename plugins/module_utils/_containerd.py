# Copyright: (c) 2026, Windward contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Private to the collection. The containerd of one node, behind a door: a container of Docker, or this host itself.

containerd has no other door for an import than its own program `ctr`.
"""

from __future__ import annotations

import contextlib
import queue
import re
import shlex
import subprocess
import tarfile
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

from ._docker import Docker
from ._image import MACHINES, PINNED, Image, Plan, Record, Seen, index_json
from ._pipes import Local
from ._registry import Blob, ImageError

# One program tells all, and does then what its input says: to start one in a container takes as long as most of that.
LOOK = r"""
c() { "$ctr" -a "$address" -n "$namespace" "$@" < /dev/null; }
ctr=$1 address=$2 namespace=$3 snapshotter=$4 config=/etc/containerd/config.toml blank=$(printf ' \t=')
[ "$snapshotter" ] || [ ! -r $config ] || while IFS=$blank read -r key value _; do
  case $key in
    *cri?.containerd] | *io.containerd.cri.v1.images?]) own=yes ;;
    '['*) own= ;;
    snapshotter) [ ! "$own" ] || { value=${value#?}; snapshotter=${value%?}; } ;;
  esac
done < $config
next() { printf '\n=\n'; }
uname -m && echo "${snapshotter:=overlayfs}" && next && c content ls -q && next && c images ls "$5" && next &&
  c snapshots --snapshotter "$snapshotter" ls || exit
printf '\n==\n' && read -r then && eval "$then"
"""
LOOKED = b"\n==\n"
QUEUE = 8  # chunks of a megabyte that wait for a node


def door(docker: Docker | None, name: str, timeout: float) -> Callable[[list[str]], Any]:
    if docker:
        return lambda command: docker.start(name, command)
    return lambda command: Local(command, timeout)


class Node:
    """One containerd."""

    def __init__(
        self, name: str, start: Callable[[list[str]], Any], *, ctr: str, address: str, namespace: str, snapshotter: str
    ) -> None:
        self.name, self._start = name, start
        self._ctr, self._address, self._namespace, self._snapshotter = ctr, address, namespace, snapshotter
        self._program: Any = None  # that has looked, and waits
        self.platform = ""
        self.seen = Seen({}, frozenset(), frozenset())

    def look(self, repository: str) -> Seen:
        pattern = re.sub(r"([.\[\]])", r"\\\\\1", repository)
        self.close()
        command = ["sh", "-c", LOOK, "sh", self._ctr, self._address, self._namespace, self._snapshotter]
        with self._troubles():
            self._program = self._start([*command, f'name~="^{pattern}[:@]"'])
            out, err = self._program.output(LOOKED)
        if not out.endswith(LOOKED):
            raise ImageError(f"node {self.name}: its containerd can't be asked: {last(err or out)}")
        said = out.removesuffix(LOOKED).decode(errors="replace")
        found, content, names, chains = (part.strip() for part in said.split("\n=\n"))
        machine, self._snapshotter = found.split()
        self.platform = MACHINES.get(machine, f"linux/{machine}")
        records = {}
        for line in names.splitlines()[1:]:
            digest = re.search(r"\s(sha\d+:[0-9a-f]+)\s", line)
            if digest:
                pinned = f"{PINNED}=pinned" in line.split()[-1].split(",")
                records[line.split()[0]] = Record(digest[1], pinned)
        committed = frozenset(row[0] for row in map(str.split, chains.splitlines()) if row[-1:] == ["Committed"])
        self.seen = Seen(records, frozenset(content.split()), committed)
        return self.seen

    def stream(self, image: Image, plan: Plan, pinned: bool) -> Stream:
        """The import, and all that follows it."""
        command = self._command("images", "import", "--local", "--platform", image.platform)
        commands = [[*command, "--snapshotter", self._snapshotter, "-"], *self._naming(image, plan, pinned)]
        with self._troubles():
            return Stream(self.name, self._tell(commands))

    def settle(self, image: Image, plan: Plan, pinned: bool) -> None:
        """A plan without an import."""
        if commands := self._naming(image, plan, pinned):
            with self._troubles():
                program = self._tell(commands)
            self._finish(program, "its names can't be set")

    def close(self) -> None:
        """Nothing is to be done any more."""
        if self._program:
            self._program.close()
            self._program = None

    def _tell(self, commands: list[list[str]]) -> Any:
        """The program that has looked, which now does one after the other until one fails."""
        self._program.write((" && ".join(map(shlex.join, commands)) + "\n").encode())
        program, self._program = self._program, None
        return program

    def _naming(self, image: Image, plan: Plan, pinned: bool) -> list[list[str]]:
        """Names and labels; the tag, which takes over the labels, comes late: it never stands for what isn't whole."""
        tags = image.names[1:] if plan.rename else ()
        return [
            *(self._label(name, pinned) for name in plan.label if name not in tags),
            *(self._command("images", "tag", "--local", "--force", image.names[0], tag) for tag in tags),
            *(self._label(name, False) for name in plan.release),
        ]

    def forget(self, name: str) -> None:
        """Best effort after a failed import, whose own error is what matters."""
        with contextlib.suppress(ImageError, OSError):
            self._finish(self._start(self._command("images", "rm", name)), "")

    def _label(self, name: str, pinned: bool) -> list[str]:
        return self._command("images", "label", name, f"{PINNED}={'pinned' if pinned else ''}")

    def _command(self, *words: str) -> list[str]:
        return [self._ctr, "-a", self._address, "-n", self._namespace, *words]

    def _finish(self, program: Any, trouble: str) -> None:
        with self._troubles(), contextlib.closing(program):
            program.close_input()
            out, err = program.output()
            code = ended(program)
        if code:
            raise ImageError(f"node {self.name}: {trouble}: {last(err or out)}")

    @contextlib.contextmanager
    def _troubles(self) -> Iterator[None]:
        try:
            yield
        except (ImageError, OSError, subprocess.SubprocessError) as exc:
            raise ImageError(f"node {self.name}: {reason(exc)}") from exc


class Stream:
    """An archive on its way into a node, from a queue of its own: no node waits for another one's disk, for a while."""

    def __init__(self, name: str, program: Any) -> None:
        self.name, self.sent, self.error = name, 0, ""
        self._program = program
        self._queue: queue.Queue[bytes | None] = queue.Queue(QUEUE)
        self._dead, self._aborted = threading.Event(), False
        self._said: tuple[bytes, bytes] = (b"", b"")
        self._writer = threading.Thread(target=self._write, daemon=True)
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._writer.start()
        self._reader.start()
        self._entry("oci-layout", b'{"imageLayoutVersion":"1.0.0"}')

    @property
    def alive(self) -> bool:
        return not self._dead.is_set()

    def begin(self, blob: Blob) -> None:
        """Blobs follow each other, each with `put` for its bytes and `end`."""
        self.put(_header("blobs/" + blob.digest.replace(":", "/"), blob.size), counts=False)

    def put(self, data: bytes, counts: bool = True) -> None:
        """Wait for room; what a dead node does not take is dropped."""
        while self.alive:
            try:
                self._queue.put(data, timeout=0.2)
                self.sent += len(data) if counts else 0
                return
            except queue.Full:
                continue

    def end(self, blob: Blob) -> None:
        self.put(bytes(-blob.size % tarfile.BLOCKSIZE), counts=False)

    def finish(self, image: Image) -> None:
        """The index comes last: without it nothing is imported."""
        self._entry("index.json", index_json(image))
        self.put(bytes(2 * tarfile.BLOCKSIZE), counts=False)
        self._queue_end()

    def abort(self) -> None:
        self._aborted = True
        self._dead.set()
        self._queue_end()
        self._program.abort()
        self._close()

    def result(self) -> str:
        """Why the import failed, or nothing."""
        self._writer.join()
        self._reader.join()
        try:
            code = None if self.error else ended(self._program)
        except (ImageError, OSError, subprocess.SubprocessError) as exc:
            self.error = str(exc)
        self._close()
        return self.error or (last(self._said[1] or self._said[0]) if code else "")

    def _close(self) -> None:
        self._writer.join(10)
        self._reader.join(10)
        self._program.close()

    def _entry(self, name: str, text: bytes) -> None:
        self.put(_header(name, len(text)) + text + bytes(-len(text) % tarfile.BLOCKSIZE), counts=False)

    def _queue_end(self) -> None:
        while True:
            try:
                self._queue.put(None, timeout=0.2)
                return
            except queue.Full:
                if not self.alive:
                    with contextlib.suppress(queue.Empty):
                        self._queue.get_nowait()

    def _write(self) -> None:
        try:
            while (data := self._queue.get()) is not None:
                if self.alive:
                    self._program.write(data)
            if not self._aborted:
                self._program.close_input()
        except (OSError, ValueError) as exc:
            # A program that ended says itself why; one that takes nothing any more does not.
            if isinstance(exc, TimeoutError):
                self.error = self.error or reason(exc)
                self._program.abort()
            else:
                with contextlib.suppress(OSError):
                    self._program.close_input()  # it has as long to end as after the last byte
            self._dead.set()

    def _read(self) -> None:
        try:
            self._said = self._program.output()
        except (OSError, ValueError) as exc:
            self.error = self.error or reason(exc)
        self._dead.set()


def _header(name: str, size: int) -> bytes:
    entry = tarfile.TarInfo(name)
    entry.size, entry.mode = size, 0o644
    return entry.tobuf(tarfile.GNU_FORMAT)


def ended(program: Any) -> int:
    """How a program ended. The engine learns of that a moment after its streams do."""
    for _try in range(50):
        code: int | None = program.code()
        if code is not None:
            return code
        time.sleep(0.1)
    raise ImageError("the node does not tell how its program ended")


def reason(exc: Exception) -> str:
    if isinstance(exc, TimeoutError):
        return "it neither takes nor says anything any more (node_timeout)"
    return getattr(exc, "strerror", None) or str(exc) or type(exc).__name__


def last(said: bytes) -> str:
    """The last line of a program's complaint, which is its own; before it stand the log's."""
    lines = said.decode(errors="replace").strip().splitlines()
    return re.sub(r"^ctr: ", "", lines[-1])[:400] if lines else "it says nothing"
