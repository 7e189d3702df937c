# Copyright: (c) 2026, Windward contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""How long a component that was restarted is waited for. What systemd does is seen on virtual machines."""

from __future__ import annotations

from typing import Any

import pytest
from ansible_collections.windward.airflow.plugins.modules import units

UNIT = {"component": "api-server", "digest": "d", "job": "", "page": ""}


class Failed(Exception):
    """The module ended with this message."""


class Module:
    """systemctl says the counts one after the other, and the last one for ever."""

    params = {"api_url": "http://127.0.0.1:9", "host_url": None, "api_token": None, "timeout": 60}

    def __init__(self, counts: list[int]) -> None:
        self.counts = counts

    def run_command(self, argv: list[str]) -> tuple[int, str, str]:
        if argv[:2] != ["systemctl", "show"]:
            return 0, "", ""
        count = self.counts.pop(0) if len(self.counts) > 1 else self.counts[0]
        return 0, f"Id=airflow-api-server.service\nActiveState=active\nNRestarts={count}\n", ""

    def fail_json(self, msg: str, **_result: Any) -> None:
        raise Failed(msg)


def waited(monkeypatch: pytest.MonkeyPatch, counts: list[int], healthy: list[bool]) -> None:
    host = units.Units(Module(counts))
    monkeypatch.setattr(host, "healthy", lambda _unit: healthy.pop(0))
    monkeypatch.setattr(units.time, "sleep", lambda _seconds: None)
    host.restart([UNIT])
    host.wait([UNIT])


def test_deaths_before_the_restart_do_not_count(monkeypatch: pytest.MonkeyPatch) -> None:
    """systemd keeps its count when the restart finds the unit between two starts."""
    waited(monkeypatch, [7, 7, 8, 8], [False, False, False, True])


def test_what_dies_again_and_again_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(Failed, match="api-server died 4 times after its start"):
        waited(monkeypatch, [7, 8, 9, 10, 11], [False] * 9)
