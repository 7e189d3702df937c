# Copyright: (c) 2026, Windward contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""What the modules of a cluster decide by themselves; Kubernetes' answers are seen on a real one (molecule/cluster)."""

from __future__ import annotations

from typing import Any

import pytest
from ansible_collections.windward.airflow.plugins.filter.kubernetes_plan import kubernetes_plan
from ansible_collections.windward.airflow.plugins.module_utils._kubernetes import ClusterError
from ansible_collections.windward.airflow.plugins.modules.kubernetes_secret_store import referred
from chart_case import COMPONENTS, DEPLOYMENT, SECRETS


class Store:
    def read(self, name: str) -> tuple[dict[str, str] | None, str]:
        return ({"key": "of the site", "empty": ""}, "1") if name == "site" else (None, "")


def test_a_secret_that_somebody_else_keeps() -> None:
    assert referred(Store(), {"jwt_secret": {"name": "site", "key": "key"}}) == {"jwt_secret": "of the site"}


@pytest.mark.parametrize(
    ("name", "key", "says"),
    [
        ("other", "key", "jwt_secret is to come from Secret other, which is not there"),
        ("site", "other", "jwt_secret is to come from Secret site, which has no other"),
        ("site", "empty", "which has no empty"),
    ],
)
def test_one_that_is_not_there(name: str, key: str, says: str) -> None:
    with pytest.raises(ClusterError, match=says):
        referred(Store(), {"jwt_secret": {"name": name, "key": key}})


def test_another_migration_is_another_release_and_restarts_nothing() -> None:
    """What was stopped for it is started by an upgrade."""

    def plan(**differs: Any) -> dict[str, Any]:
        return kubernetes_plan({**DEPLOYMENT, **differs}, COMPONENTS, SECRETS)

    first, other = plan(), plan(accounts=[{**DEPLOYMENT["accounts"][0], "email": "other@example.com"}])
    annotations = [one["values"]["apiServer"]["service"].pop("annotations") for one in (first, other)]
    assert annotations[0] != annotations[1] and first["values"] == other["values"]
