# Copyright: (c) 2026, Windward contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Filters over the inventory, over secrets, over what was found."""

from __future__ import annotations

import pytest
from ansible.errors import AnsibleFilterError
from ansible_collections.windward.airflow.plugins.filter.addresses import addresses
from ansible_collections.windward.airflow.plugins.filter.agreed_secrets import agreed_secrets
from ansible_collections.windward.airflow.plugins.filter.deployed import deployed
from ansible_collections.windward.airflow.plugins.filter.secret_readers import secret_readers
from ansible_collections.windward.airflow.plugins.filter.status_table import status_table


def test_addresses() -> None:
    hostvars = {
        "a": {"airflow_address": "10.0.0.1", "ansible_host": "192.0.2.1"},
        "b": {"airflow_address": "", "ansible_host": "192.0.2.2"},
        "c": {},
    }
    assert addresses(["a", "b", "c"], hostvars) == {"a": "10.0.0.1", "b": "192.0.2.2", "c": "c"}


def held(**hosts: dict[str, str]) -> list[dict]:
    return [{"item": host, "secrets": secrets} for host, secrets in hosts.items()]


def test_holders_complete_each_other_and_the_inventory_wins() -> None:
    assert agreed_secrets(held(a={"x": "1"}, b={"x": "1", "y": "2"}), {"x": "", "z": "3"}) == {
        "x": "1",
        "y": "2",
        "z": "3",
    }
    assert agreed_secrets(held(a={"x": "1"}, b={"x": "other"}), {"x": "given"}) == {"x": "given"}
    assert agreed_secrets(held(a={}, b={}), {"x": ""}) == {}


def test_holders_that_disagree_are_named_but_no_value() -> None:
    with pytest.raises(AnsibleFilterError) as caught:
        agreed_secrets(held(a={"x": "VALUE1"}, b={}, c={"x": "VALUE2"}), {})
    said = str(caught.value)
    assert "a and c" in said and "'x'" in said and "VALUE" not in said


def test_secret_readers_are_hosts_in_order_each_once() -> None:
    components = {
        "one": {"group": "g1", "secrets": ["s"]},
        "two": {"group": "g2", "secrets": ["s", "t"]},
        "three": {"group": "g3", "secrets": ["t"]},
    }
    groups = {"g1": ["b", "a"], "g2": ["a", "c"]}
    assert secret_readers("s", components, groups) == ["b", "a", "c"]
    assert secret_readers("t", components, groups) == ["a", "c"]
    assert secret_readers("u", components, groups) == []


def test_what_is_deployed_leaves_out_what_changes_by_itself() -> None:
    looked = {
        "release": "r",
        "dags_release": "d",
        "components": {"b": {"digest": "2", "since": "now"}, "a": {"digest": "1", "since": "then"}},
    }
    assert deployed(looked) == ["r", "d", "a=1", "b=2"]


def test_status_names_a_time_only_where_systemd_knows_one() -> None:
    def component(state: str, since: str) -> dict:
        return {"state": state, "since": since, "restarts": 0}

    looked = {
        "components": {"a": component("inactive", "Sat 2026-11-21 10:00:00 UTC"), "b": component("absent", "")},
        "release": "r", "dags_release": "", "free_mb": {}, "secrets_age_days": None,
    }
    told = status_table({"h": looked}, {"metadata": {"available": True, "heads": {}, "wanted_heads": {},
                                                     "import_errors": []}})
    assert told["problems"] == ["h: a is inactive since Sat 2026-11-21 10:00:00 UTC.", "h: b is absent."]
