# Copyright: (c) 2026, Windward contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""The first run of a scenario on Kubernetes is killed in the middle of the release; its converge then completes it."""

from __future__ import annotations

import os
from pathlib import Path

from cluster import Cluster


def test_a_first_run_is_killed(tmp_path: Path) -> None:
    cluster = Cluster(os.environ["MOLECULE_SCENARIO_NAME"])
    # What the scenario's look at the empty cluster must have left as it was.
    assert cluster.name not in cluster.run("kubectl", "get", "namespaces", "-oname")
    cluster.kill(lambda: "pending-install" in cluster.records(), tmp_path / "play.log")
