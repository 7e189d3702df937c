# Copyright: (c) 2026, Windward contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Runs a property over random sequences, and says by which seed.

LIVE_SEED repeats a run, LIVE_SEQUENCES makes it longer or shorter, LIVE_RAW shows a failure as it was drawn.
"""

from __future__ import annotations

import os
import random
from collections import Counter
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import HealthCheck, Phase, given, seed, settings
from hypothesis import strategies as st

SEED = int(os.environ.get("LIVE_SEED") or random.randrange(2**32))


def hold(
    strategy: st.SearchStrategy[Any],
    body: Callable[[Any, Counter[str]], None],
    capsys: pytest.CaptureFixture[str],
    number: int,
) -> Counter[str]:
    """`body` is given each sequence, and what is to be counted."""
    number = int(os.environ.get("LIVE_SEQUENCES") or number)
    counts: Counter[str] = Counter()

    @seed(SEED)
    @settings(
        max_examples=number,
        deadline=None,
        database=None,
        phases=[Phase.generate, *[Phase.shrink] * (not os.environ.get("LIVE_RAW"))],
        suppress_health_check=list(HealthCheck),
    )
    @given(strategy)
    def one(sequence: Any) -> None:
        counts["sequences"] += 1
        body(sequence, counts)

    with capsys.disabled():
        print(f"\nLIVE_SEED={SEED}", flush=True)
    try:
        one()
    finally:
        with capsys.disabled():
            print(dict(counts), flush=True)
    assert counts["sequences"] >= number
    return counts
