# Copyright: (c) 2026, Windward contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)

from __future__ import annotations

DOCUMENTATION = r"""
name: steps
type: aggregate
short_description: How long each step took
version_added: 0.1.0
author: Windward contributors (@windward)
description:
  - Prints at the end of a play how long each step took. A play belongs to the step that its name begins with, up to
    the first C(|).
requirements:
  - Enable it with C(callbacks_enabled = windward.airflow.steps).
"""

import time
from typing import Any

from ansible.plugins.callback import CallbackBase


class CallbackModule(CallbackBase):
    """Adds up the time of the plays of each step."""

    CALLBACK_VERSION = 2.0
    CALLBACK_TYPE = "aggregate"
    CALLBACK_NAME = "windward.airflow.steps"
    CALLBACK_NEEDS_ENABLED = True

    def __init__(self) -> None:
        super().__init__()
        self.steps: dict[str, float] = {}
        self.current = ""
        self.since = time.monotonic()

    def _turn(self, step: str) -> None:
        now = time.monotonic()
        if self.current:
            self.steps[self.current] = self.steps.get(self.current, 0.0) + now - self.since
        self.current, self.since = step, now

    def v2_playbook_on_play_start(self, play: Any) -> None:
        name, separator, _rest = play.get_name().partition("|")
        self._turn(name.strip() if separator else "")

    def v2_playbook_on_stats(self, stats: Any) -> None:
        self._turn("")
        if len(self.steps) > 1:
            self._display.banner("STEPS")
            for step, seconds in sorted(self.steps.items()):
                self._display.display(f"{step:<30} {seconds:6.1f} s")
            self._display.display(f"{'together':<30} {sum(self.steps.values()):6.1f} s")
