# Copyright: (c) 2026, Windward contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Private to the collection. A program that is given input for as long as that lasts, and then has to end in time."""

from __future__ import annotations

import os
import select
import subprocess
import time


class Pipes:
    """The ends of a program's input and outputs; `finish_input` and what reads may run in threads of their own."""

    def __init__(self, given: int, said: list[int], timeout: float) -> None:
        self._given, self._outputs, self._timeout = given, said, timeout
        self._ended = 0.0
        for descriptor in {given, *said}:
            os.set_blocking(descriptor, False)

    def write(self, data: bytes) -> None:
        rest = memoryview(data)
        while rest:
            if not select.select([], [self._given], [], self._timeout)[1]:
                raise TimeoutError
            rest = rest[os.write(self._given, rest[: 1 << 18]) :]

    def close_input(self) -> None:
        self._ended = time.monotonic()

    def read(self) -> list[bytes]:
        """All that each output says until the program's end, which may be long in coming while there is input."""
        said = {descriptor: b"" for descriptor in self._outputs}
        still = list(self._outputs)
        while still:
            ready = select.select(still, [], [], 1)[0]
            if not ready and self._ended and time.monotonic() - self._ended > self._timeout:
                raise TimeoutError
            for descriptor in ready:
                if chunk := os.read(descriptor, 1 << 16):
                    said[descriptor] += chunk
                else:
                    still.remove(descriptor)
        return list(said.values())


class Local(Pipes):
    """A program of this host."""

    def __init__(self, command: list[str], timeout: float) -> None:
        self._process = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, start_new_session=True
        )
        process = self._process
        assert process.stdin and process.stdout and process.stderr
        super().__init__(process.stdin.fileno(), [process.stdout.fileno(), process.stderr.fileno()], timeout)

    def close_input(self) -> None:
        super().close_input()
        assert self._process.stdin
        self._process.stdin.close()

    def abort(self) -> None:
        self._process.kill()

    def output(self) -> tuple[bytes, bytes]:
        try:
            out, err = self.read()
        except TimeoutError:
            self.abort()
            raise
        return out, err

    def code(self) -> int | None:
        return self._process.wait(self._timeout)

    def close(self) -> None:
        self._process.kill()
        with self._process:
            pass  # closes what is open, and waits
