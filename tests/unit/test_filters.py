# Copyright: (c) 2026, Windward contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Filters over the inventory, over secrets, over what was found."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

import pytest
from ansible.errors import AnsibleFilterError
from ansible_collections.windward.airflow.plugins.filter.addresses import addresses
from ansible_collections.windward.airflow.plugins.filter.agreed_secrets import agreed_secrets
from ansible_collections.windward.airflow.plugins.filter.deployed import deployed
from ansible_collections.windward.airflow.plugins.filter.redis_url import redis_url
from ansible_collections.windward.airflow.plugins.filter.secret_readers import secret_readers
from ansible_collections.windward.airflow.plugins.filter.status_table import status_table
from ansible_collections.windward.airflow.plugins.filter.unreached import unreached
from ansible_collections.windward.airflow.plugins.modules.metadata_info import usage


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


def test_a_holder_that_could_not_be_read_is_named() -> None:
    with pytest.raises(AnsibleFilterError, match="b: the file is damaged"):
        agreed_secrets([*held(a={"x": "1"}), {"item": "b", "failed": False, "msg": "the file is damaged"}], {})


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


def test_a_password_may_have_any_character_and_the_url_is_still_one() -> None:
    password = "".join(chr(number) for number in range(32, 127)) + "ß漢"
    for user in ("airflow", ""):
        url = urlsplit(redis_url(password, "10.0.0.5", 6379, user))
        assert (url.scheme, url.hostname, url.port, url.path) == ("redis", "10.0.0.5", 6379, "/0")
        assert unquote(url.password or "") == password and url.username == user and not url.query + url.fragment


def test_no_role_quotes_a_part_of_a_url_by_the_filter_that_keeps_slashes() -> None:
    texts = [path.read_text("utf-8") for path in Path(__file__).parents[2].glob("roles/*/*/*.[yj]*")]
    assert len(texts) > 100 and not [text for text in texts if re.search(r"\|\s*urlencode", text)]


def test_what_is_deployed_leaves_out_what_changes_by_itself() -> None:
    looked = {
        "release": "r",
        "dags_release": "d",
        "components": {"b": {"digest": "2", "since": "now"}, "a": {"digest": "1", "since": "then"}},
    }
    assert deployed(looked) == ["r", "d", "a=1", "b=2"]


COMPONENTS = {
    "scheduler": {"job": "SchedulerJob", "group": "airflow_scheduler"},
    "worker": {"job": "", "group": "airflow_worker"},
    "api-server": {"job": "", "group": "airflow_api_server"},
    "redis": {"group": "airflow_redis"},
}
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
    return status_table(hosts, {"metadata": METADATA, **answers}, ADDRESSES, COMPONENTS, answers.pop("groups", {}))


def test_status_names_a_time_only_where_systemd_knows_one() -> None:
    host = looked(scheduler="inactive", worker="absent")
    host["components"]["scheduler"]["since"] = "2026-11-21T10:00:00Z"
    told = status({"h": host})
    assert told["problems"] == ["h: scheduler is inactive since 2026-11-21T10:00:00Z.", "h: worker is absent."]
    assert told["verdict"] == "not healthy"


def test_status_is_degraded_when_another_host_does_the_work() -> None:
    both, one = looked(scheduler="active", api_server="active"), looked(scheduler="failed", api_server="active")
    assert status({"h": both, "i": both})["verdict"] == "healthy"
    assert status({"h": both, "i": one})["verdict"] == "degraded"
    assert status({"h": one, "i": one})["verdict"] == "not healthy"
    assert status({"h": one, "i": one})["verdict"] == "not healthy"


def test_status_is_degraded_when_one_of_two_cannot_be_read() -> None:
    away = {"unreachable": True, "msg": "no route"}
    pair = {"airflow_scheduler": ["h", "i"], "airflow_api_server": ["h", "i"]}
    both, one = looked(scheduler="active", api_server="active"), looked(scheduler="failed", api_server="active")
    told = status({"h": both, "i": away}, groups=pair)
    assert told["problems"] == ["i: it could not be read, so nobody knows of its scheduler, api-server."]
    assert told["verdict"] == "degraded" and "i     api-server  unreachable" in told["lines"]
    assert status({"h": one, "i": away}, groups=pair)["verdict"] == "not healthy", "no scheduler is known to work"
    alone = {**pair, "airflow_worker": ["i"]}
    assert status({"h": both, "i": away}, groups=alone)["verdict"] == "not healthy", "the only worker"
    assert status({"h": both, "i": away})["verdict"] == "not healthy", "nobody knows what should be there"


def test_status_of_some_hosts_leaves_the_others_out() -> None:
    pair = {"airflow_scheduler": ["h", "i"]}
    told = status({"h": looked(scheduler="active"), "i": {}}, groups=pair)
    assert told["verdict"] == "healthy" and "i     scheduler  not asked" in told["lines"]


def test_status_knows_each_api_server_by_its_own_page() -> None:
    both = looked(api_server="active")
    ill = {"components": {"api-server": {"status": "unhealthy", "reason": "status 503"}}}
    well: dict[str, Any] = {"components": {"api-server": {"status": "healthy", "reason": None}}}
    told = status({"h": both, "i": both}, health={"h": ill, "i": well})
    assert told["problems"] == ["h: api-server runs, but is not healthy: status 503"] and told["verdict"] == "degraded"
    assert status({"h": both, "i": both}, health={"h": ill, "i": ill})["verdict"] == "not healthy"
    assert status({"h": both, "i": both}, health={"h": well, "i": {"skipped": True}})["verdict"] == "healthy"
    # What the first that answers says of the others counts for all.
    well["components"]["scheduler"] = {"status": "unhealthy", "reason": "never seen"}
    told = status({"h": both, "i": both}, health={"h": ill, "i": well})
    assert told["problems"][1:] == ["scheduler is unhealthy: never seen"] and told["verdict"] == "not healthy"


def test_status_looks_at_services_and_names_what_is_not_doubled() -> None:
    data = {**looked(), "services": looked(redis="active")["components"], "release": ""}
    data.update(memory_mb={"total": 2000, "available": 900}, free_mb={"/var/lib/redis": 9})
    groups = {"airflow_scheduler": ["h", "i"], "airflow_worker": ["h"], "airflow_redis": ["d"]}
    told = status({"d": data}, groups=groups)
    assert told["lines"][1].split() == ["d", "redis", "active", "0"]
    assert told["problems"] == ["d: /var/lib/redis has only 9 MB free."], "it needs no release"
    assert {"d: 900 of 2000 MB of memory are available", "not doubled: redis on d", "not doubled: worker on h"} <= {
        *told["lines"]
    } and "scheduler" not in " ".join(told["lines"])
    data = {**data, "services": looked(redis="failed")["components"], "free_mb": {}}
    assert status({"d": data}, groups=groups)["problems"] == ["d: redis is failed."]


def test_status_shows_how_the_poolers_connections_are_used() -> None:
    databases = [{"name": "airflow", "pool_size": 70}, {"name": "pgbouncer", "pool_size": 2}]
    used = {"database": "airflow", "sv_active": 3, "cl_active": 5, "cl_waiting": 2, "maxwait": 4}
    refused = {**used, "sv_active": 0, "cl_active": 0, "cl_waiting": 0, "maxwait": 0}
    pools = usage(databases, [used, refused, {**used, "database": "pgbouncer"}])
    lines = status({}, metadata={**METADATA, "pooler": {"pools": pools}})["lines"]
    assert [line for line in lines if "PgBouncer" in line] == [
        "PgBouncer, database airflow: 3 of 70 connections to PostgreSQL in use, 5 clients work, 2 wait, "
        "the longest for 4 s"
    ]
    told = status({}, metadata={**METADATA, "pooler": {"reason": "refused"}})
    assert "PgBouncer could not be asked: refused" in told["lines"]


def test_status_believes_no_process_that_gives_no_sign_of_life() -> None:
    jobs = [{"type": "SchedulerJob", "hostname": "10.0.0.1", "age": 3.0}]
    both = {"h": looked(scheduler="active"), "i": looked(scheduler="active")}
    told = status(both, metadata={**METADATA, "jobs": jobs})
    assert told["problems"] == ["i: scheduler runs, but never gave a sign of life."]
    assert told["verdict"] == "degraded" and told["lines"][1].endswith(" 3s")
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


def cut_off(what: str, **components: str) -> dict[str, Any]:
    """A host whose components can't reach something."""
    host = looked(**components)
    for one in host["components"].values():
        one["unreached"] = {what: "it does not answer"}
    return host


def test_status_names_a_scheduler_that_cannot_send() -> None:
    well, ill = looked(scheduler="active"), cut_off("the broker at d:6379", scheduler="active")
    told = status({"h": ill, "i": well})
    assert told["problems"] == ["h: scheduler can't reach the broker at d:6379: it does not answer."]
    assert told["verdict"] == "degraded", "the other one sends"
    assert status({"h": ill, "i": ill})["verdict"] == "not healthy"
    stopped = status({"h": cut_off("the broker", scheduler="failed"), "i": well})
    assert stopped["problems"][1:] == ["h: scheduler is failed."], "both are told"
    assert unreached({"h": ill, "i": well, "j": {"unreachable": True}, "k": {}}) == told["problems"]


def test_status_names_a_worker_whose_tasks_cannot_ask() -> None:
    well, ill = looked(worker="active"), cut_off("the execution API at p", worker="active")
    worker = {"queues": ["default"], "active": 0, "reserved": 0, "concurrency": 4}
    workers = {"celery@10.0.0.1": worker, "celery@10.0.0.2": worker}
    answer = {"available": True, "workers": workers, "queues": {"default": 0}}
    told = status({"h": ill, "i": well}, workers=answer)
    assert told["problems"] == ["h: worker can't reach the execution API at p: it does not answer."]
    assert told["verdict"] == "degraded", "the other one consumes the same queue"
    assert status({"h": ill, "i": ill}, workers=answer)["verdict"] == "not healthy"
    alone = {**workers, "celery@10.0.0.1": {**worker, "queues": ["default", "heavy"]}}
    told = status({"h": ill, "i": well}, workers={**answer, "workers": alone, "queues": {"default": 0, "heavy": 0}})
    assert told["problems"][1:] == ["Nobody who consumes queue heavy reaches what its tasks need: they fail."]
    assert told["verdict"] == "not healthy"


def test_status_names_workers_that_the_inventory_does_not_have() -> None:
    """One whose lines were deleted, and one whose host has something else to do, go on."""
    worker = {"queues": ["default"], "active": 0, "reserved": 0, "concurrency": 4}
    known = {"celery@10.0.0.1": worker, "celery@10.0.0.2": worker}
    hosts, groups = {"h": looked(worker="active"), "i": {}}, {"airflow_worker": ["h", "i"]}

    def told(workers: dict[str, Any], others: dict[str, list[str]] | None = None) -> dict[str, Any]:
        answer = {"available": True, "workers": workers, "queues": {"default": 0}}
        return status(hosts, workers=answer, groups=others or groups)

    assert told(known)["problems"] == [], "--limit leaves one out, it is known nevertheless"
    gone = told({**known, "celery@10.0.0.9": {**worker, "queues": ["default", "heavy"]}})
    assert gone["problems"] == [
        "The worker at 10.0.0.9 consumes default, heavy and is not in the inventory: "
        "put its host into airflow_removed and run playbooks/scale.yml."
    ]
    assert gone["verdict"] == "not healthy"
    moved = told(known, {"airflow_worker": ["h"], "airflow_scheduler": ["i"]})
    assert moved["problems"][0].startswith("i: a worker consumes default, and the host is not in group airflow_worker")
    assert "consumes nothing and is not" in told({**known, "celery@x": {**worker, "queues": []}})["problems"][0]


def test_a_proxy_that_leads_nowhere_is_a_problem() -> None:
    def told(reason: str | None) -> dict[str, Any]:
        return status({}, proxy={"components": {"api-server": {"status": "unhealthy", "reason": reason}}})

    assert told("status 503")["problems"] == ["The proxy does not lead to a healthy api-server: status 503"]
    assert told("status 503")["verdict"] == "not healthy"
    assert told(None)["problems"] == status({}, proxy={"skipped": True})["problems"] == []
