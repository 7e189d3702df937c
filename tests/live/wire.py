# Copyright: (c) 2026, Windward contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""What modules that run in this process send to Airflow, as they send it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from ansible_collections.windward.airflow.plugins.module_utils._client import TOKEN_PATH, Client, Reply

Sent = list[tuple[str, str, str]]  # method, path with query, body


@contextmanager
def writes() -> Iterator[Sent]:
    """The requests sent meanwhile that may change something: all but those that read or log in."""
    sent: Sent = []
    exchange = Client._exchange

    def watched(self: Client, method: str, target: str, data: bytes | None, *more: Any) -> Reply:
        if method != "GET" and not target.endswith(TOKEN_PATH):
            sent.append((method, target, (data or b"").decode()))
        return exchange(self, method, target, data, *more)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Client, "_exchange", watched)
        yield sent
