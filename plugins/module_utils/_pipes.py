# Copyright: (c) 2026, Windward contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Private to the collection. A program that is given input for as long as that lasts, and then has to end in time."""

from __future__ import annotations

import os
import select
import signal
import subprocess
import time


class Pipes:
    """The ends of a program's input and outputs; `close_input` and what reads may run in threads of their own."""

    def __init__(self, given: int, outputs: list[int], timeout: float) -> None:
        self._given, self._outputs, self._timeout = given, outputs, timeout
        self._ended = 0.0
        self._out = self._err = b""
        for descriptor in {given, *outputs}:
            os.set_blocking(descriptor, False)

    def write(self, data: bytes) -> None:
        rest = memoryview(data)
        while rest:
            if not select.select([], [self._given], [], self._timeout)[1]:
                raise TimeoutError
            rest = rest[os.write(self._given, rest[: 1 << 18]) :]

    def close_input(self) -> None:
        self._ended = time.monotonic()

    def output(self, last: bytes = b"") -> tuple[bytes, bytes]:
        """All that it says until its end, which may be long in coming while there is input, or until it says `last`."""
        began = time.monotonic()
        while self._outputs and not (last and self._out.endswith(last)):
            ready = select.select(self._outputs, [], [], 1)[0]
            since = began if last else self._ended
            if not ready and since and time.monotonic() - since > self._timeout:
                raise TimeoutError
            for descriptor in ready:
                if chunk := os.read(descriptor, 1 << 16):
                    self._take(descriptor, chunk)
                else:
                    self._outputs.remove(descriptor)
        said, self._out, self._err = (self._out, self._err), b"", b""
        return said

    def _take(self, descriptor: int, chunk: bytes) -> None:
        raise NotImplementedError


class Local(Pipes):
    """A program of this host."""

    def __init__(self, command: list[str], timeout: float) -> None:
        self._process = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, start_new_session=True
        )
        streams = (self._process.stdin, self._process.stdout, self._process.stderr)
        self._stdin, out, err = (stream for stream in streams if stream)
        self._stdout = out.fileno()
        super().__init__(self._stdin.fileno(), [self._stdout, err.fileno()], timeout)

    def _take(self, descriptor: int, chunk: bytes) -> None:
        if descriptor == self._stdout:
            self._out += chunk
        else:
            self._err += chunk

    def close_input(self) -> None:
        super().close_input()
        self._stdin.close()

    def abort(self) -> None:
        """What it has started ends with it."""
        if self._process.poll() is None:
            os.killpg(self._process.pid, signal.SIGKILL)

    def output(self, last: bytes = b"") -> tuple[bytes, bytes]:
        try:
            return super().output(last)
        except TimeoutError:
            self.abort()
            raise

    def code(self) -> int | None:
        return self._process.wait(self._timeout)

    def close(self) -> None:
        self.abort()
        with self._process:
            pass  # closes what is open, and waits
