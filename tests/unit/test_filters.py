# Copyright: (c) 2026, Windward contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Filters over the inventory, over secrets, over what was found."""

from __future__ import annotations

from typing import Any

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


COMPONENTS = {"scheduler": {"job": "SchedulerJob"}, "worker": {"job": ""}, "api-server": {"job": ""}}
ADDRESSES = {"h": "10.0.0.1", "i": "10.0.0.2"}
METADATA: dict[str, Any] = {"available": True, "heads": {}, "wanted_heads": {}, "import_errors": []}


def looked(**components: str) -> dict[str, Any]:
    """A host with components of that state."""
    return {
        "components": {
            name.replace("_", "-"): {"state": state, "since": "", "restarts": 0} for name, state in components.items()
        },
        "release": "r",
        "dags_release": "",
        "free_mb": {},
        "secrets_age_days": None,
    }


def status(hosts: dict[str, Any], **answers: Any) -> dict[str, Any]:
    return status_table(hosts, {"metadata": METADATA, **answers}, ADDRESSES, COMPONENTS)


def test_status_names_a_time_only_where_systemd_knows_one() -> None:
    host = looked(scheduler="inactive", worker="absent")
    host["components"]["scheduler"]["since"] = "Sat 2026-11-21 10:00:00 UTC"
    told = status({"h": host})
    assert told["problems"] == ["h: scheduler is inactive since Sat 2026-11-21 10:00:00 UTC.", "h: worker is absent."]
    assert told["verdict"] == "not healthy"


def test_status_is_degraded_when_another_host_does_the_work() -> None:
    both, one = looked(scheduler="active", api_server="active"), looked(scheduler="failed", api_server="active")
    assert status({"h": both, "i": both})["verdict"] == "healthy"
    assert status({"h": both, "i": one})["verdict"] == "degraded"
    assert status({"h": one, "i": one})["verdict"] == "not healthy"
    assert status({"h": both, "i": {}})["verdict"] == "not healthy", "nobody knows what is there"


def test_status_believes_no_process_that_gives_no_sign_of_life() -> None:
    jobs = [{"type": "SchedulerJob", "hostname": "10.0.0.1", "age": 3.0}]
    both = {"h": looked(scheduler="active"), "i": looked(scheduler="active")}
    told = status(both, metadata={**METADATA, "jobs": jobs})
    assert told["problems"] == ["i: scheduler runs, but never gave a sign of life."]
    assert told["verdict"] == "degraded" and "3 s ago" in told["lines"][1]
    old = [{"type": "SchedulerJob", "hostname": "10.0.0.1", "age": 600.0}]
    assert status(both, metadata={**METADATA, "jobs": old})["verdict"] == "not healthy"


def test_status_knows_when_a_task_cannot_run() -> None:
    hosts = {"h": looked(worker="active"), "i": looked(worker="active")}
    worker = {"queues": ["default"], "active": 1, "reserved": 0, "concurrency": 4}
    workers = {"celery@10.0.0.1": worker, "celery@10.0.0.2": worker}
    queues = {"default": 0}
    assert status(hosts, workers={"available": True, "workers": workers, "queues": queues})["verdict"] == "healthy"
    told = status(hosts, workers={"available": True, "workers": {"celery@10.0.0.1": worker}, "queues": queues})
    assert told["problems"] == ["i: the worker does not answer Celery."]
    told = status(hosts, workers={"available": True, "workers": workers, "queues": {"default": 0, "heavy": 3}})
    assert told["problems"] == ["Nobody consumes queue heavy: its tasks wait for ever."]
    assert told["verdict"] == "not healthy" and "queue heavy: 3 messages wait" in told["lines"]
    drained = {**workers, "celery@10.0.0.2": {**worker, "queues": []}}
    told = status(hosts, workers={"available": True, "workers": drained, "queues": queues})
    assert "i: the worker is drained" in told["problems"][0]
    told = status(hosts, workers={"available": False, "reason": "refused"})
    assert told["problems"] == ["The broker could not be asked: refused"] and told["verdict"] == "not healthy"


def test_a_proxy_that_leads_nowhere_is_a_problem() -> None:
    def told(reason: str | None) -> dict[str, Any]:
        return status({}, proxy={"components": {"api-server": {"status": "unhealthy", "reason": reason}}})

    assert told("status 503")["problems"] == ["The proxy does not lead to a healthy api-server: status 503"]
    assert told("status 503")["verdict"] == "not healthy"
    assert told(None)["problems"] == status({}, proxy={"skipped": True})["problems"] == []
