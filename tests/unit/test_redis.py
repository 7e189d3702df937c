# Copyright: (c) 2026, Windward contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""A Redis that was named, as a host asks it. The real one answers in the scenario `site`."""

from __future__ import annotations

import re
import socketserver
import threading
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from ansible_collections.windward.airflow.plugins.module_utils import _redis

PASSWORD = "pw-of%the/broker"
URL = "redis://{user}:pw-of%25the%2Fbroker@127.0.0.1:{port}/0"
MEMORY = "# Memory\r\nmaxmemory:0\r\nmaxmemory_policy:{}\r\n"
NOAUTH, OK, PONG = b"-NOAUTH Authentication required.\r\n", b"+OK\r\n", b"+PONG\r\n"


class Server(socketserver.StreamRequestHandler):
    """As much of a Redis as is asked for; what differs between servers is set on the class."""

    asks = True  # for a password
    policy = "noeviction"
    users: tuple[str, ...] = ("default",)
    banner = b""

    def handle(self) -> None:
        let_in = not self.asks
        if self.banner:
            self.wfile.write(self.banner)
            return
        while line := self.rfile.readline():
            words = [self.text() for _one in range(int(line[1:]))]
            self.wfile.write(self.answer(let_in, *words))
            if words[0] == "AUTH":
                let_in = let_in or self.knows(words[1:])

    def text(self) -> str:
        return self.rfile.read(int(self.rfile.readline()[1:]) + 2)[:-2].decode()

    def knows(self, names: list[str]) -> bool:
        return (names[0] if len(names) == 2 else "default") in self.users and names[-1] == PASSWORD

    def answer(self, let_in: bool, command: str, *words: str) -> bytes:
        if command == "AUTH":
            if not self.asks:
                return b"-ERR AUTH <password> called without any password configured for the default user.\r\n"
            return OK if self.knows(list(words)) else f"-WRONGPASS no {words[-1]}\r\n".encode()
        if not let_in:
            return NOAUTH
        text = MEMORY.format(self.policy).encode()
        told = b"$%d\r\n%s\r\n" % (len(text), text)
        return PONG if command == "PING" else told if self.policy else b"-NOPERM\r\n"


@contextmanager
def server(**differs: object) -> Iterator[int]:
    handler = type("Other", (Server,), differs)
    with socketserver.ThreadingTCPServer(("127.0.0.1", 0), handler) as listening:
        listening.daemon_threads = True
        threading.Thread(target=listening.serve_forever, args=(0.01,), daemon=True).start()
        yield listening.server_address[1]
        listening.shutdown()


CASES = [
    ({}, "", {"problem": "", "open": False, "policy": "noeviction"}),
    ({"users": ("airflow",)}, "airflow", {"problem": "", "open": False, "policy": "noeviction"}),
    ({"policy": "allkeys-lru"}, "", {"problem": "", "open": False, "policy": "allkeys-lru"}),
    ({"policy": ""}, "", {"problem": "", "open": False, "policy": ""}),
    ({"asks": False}, "", {"problem": "", "open": True, "policy": "noeviction"}),
    ({"users": ("airflow",)}, "", {"problem": "it refuses this user or password", "open": False, "policy": ""}),
    ({"banner": b"-DENIED Redis is running in protected mode\r\n"}, "",
     {"problem": "it takes nobody from another host (its protected mode)"}),
    ({"banner": b"HTTP/1.1 400 Bad Request\r\n"}, "", {"problem": "it does not answer as a Redis does"}),
    ({"banner": b"$99999999\r\n"}, "", {"problem": "it does not answer as a Redis does"}),
]


@pytest.mark.parametrize(("differs", "user", "wanted"), CASES, ids=[str(case[0]) for case in CASES])
def test_what_it_says(differs: dict[str, object], user: str, wanted: dict[str, object]) -> None:
    with server(**differs) as port:
        said = _redis.look(URL.format(user=user, port=port))
    assert wanted.items() <= said.items()
    assert not re.search("pw-of", str(said))


def test_without_a_password_in_the_url() -> None:
    with server() as port:
        assert _redis.look(f"redis://127.0.0.1:{port}")["problem"] == "it asks for a password"


def test_nobody_is_there() -> None:
    with server() as port:
        pass
    assert _redis.look(URL.format(user="", port=port))["problem"] == "this host can't use it (Connection refused)"


def test_no_tls_there() -> None:
    with server() as port:
        said = _redis.look(URL.format(user="", port=port).replace("redis:", "rediss:"))
    assert said["problem"].startswith(("it does not speak TLS", "this host can't use it"))


def test_an_unknown_name() -> None:
    assert _redis.look("redis://:x@nowhere.invalid")["problem"] == "this host can't resolve its name"
