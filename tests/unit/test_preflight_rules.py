# Copyright: (c) 2026, Windward contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""A row per refusal: the rule, how its line begins or what it says, and what was declared."""

from __future__ import annotations

import base64
from datetime import date
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.windward.airflow.plugins.plugin_utils._preflight import registry, services
from ansible_collections.windward.airflow.plugins.plugin_utils._preflight.types import Unreadable
from preflight_case import (
    BROKER,
    CELERY,
    COMPONENTS,
    EXTERNAL,
    FERNET,
    LONG,
    LONGER,
    ONE,
    OTHER_FERNET,
    PROXY,
    TWO,
    declared,
)


def config(section: str, option: str, value: Any) -> dict[str, Any]:
    return {"airflow_config": {section: {option: value}}}


def environment(name: Any, value: Any = "x") -> dict[str, Any]:
    return {"airflow_environment": {name: value}}


def logs(folder: str, connection: str = "") -> dict[str, Any]:
    """Logs of tasks that are kept elsewhere."""
    named = {"remote_log_conn_id": connection} if connection else {}
    return {"airflow_config": {"logging": {"remote_logging": True, "remote_base_log_folder": folder, **named}}}


def without(group: str, groups: dict[str, list[str]] = ONE) -> dict[str, list[str]]:
    return {name: hosts for name, hosts in groups.items() if name != group}


# (rule, what its line says, public variables, groups, variables of single hosts)
Row = tuple[str, str, dict[str, Any], dict[str, list[str]], dict[str, dict[str, Any]]]


def row(
    rule: str,
    says: str,
    variables: dict[str, Any] | None = None,
    groups: dict[str, list[str]] = ONE,
    hosts: dict[str, dict[str, Any]] | None = None,
) -> Row:
    return (rule, says, variables or {}, groups, hosts or {})


def in_pods(rule: str, says: str, **variables: Any) -> Row:
    """Says what of which variable of a cluster."""
    named = {f"airflow_{name}": value for name, value in variables.items()}
    return row(rule, f"airflow_{says}", {**POD_EACH, **named}, CLUSTER)


def workers(says: str, *sets: dict[str, Any]) -> Row:
    variables = {"airflow_executor": "CeleryExecutor", "airflow_worker_sets": list(sets)}
    return row("worker_sets", f"airflow_worker_sets{says}", variables, CLUSTER)


OWN_BROKER = {"airflow_executor": "CeleryExecutor"}
REDIS = {**CELERY, "airflow_redis": ["a"]}
POOLED = {**TWO, "airflow_pgbouncer": ["b"]}


def redis_says(says: str, option: Any, value: Any) -> Row:
    variables = {**OWN_BROKER, "airflow_redis_config": {option: value}}
    return row("redis_config", f"airflow_redis_config.{option}: {says}", variables, REDIS)


def broker_says(says: str, url: str, **options: Any) -> Row:
    named = {"airflow_config": {"celery_broker_transport_options": options}} if options else {}
    return row("broker_url", says, {**BROKER, "airflow_broker_url": url, **named}, CELERY)


def pooler_says(says: str, option: Any, value: Any) -> Row:
    return row("pgbouncer_config", f"airflow_pgbouncer_config.{option}: {says}",
               {"airflow_pgbouncer_config": {option: value}}, POOLED)


def user(**differs: Any) -> dict[str, Any]:
    """A user that is accepted, but for what differs; without what is None."""
    whole = {"username": "Eve", "email": "e@x.org", "first_name": "E", "last_name": "V", "roles": ["Op"]}
    return {name: value for name, value in {**whole, "password": "pw", **differs}.items() if value is not None}


CLUSTER = {"airflow": ["c"], "airflow_cluster": ["c"]}
REFERENCE = {"name": "shared", "key": "jwt"}
TWO_CLUSTERS = {"airflow": ["c", "d"], "airflow_cluster": ["c", "d"]}
POD_EACH = {"airflow_executor": "KubernetesExecutor"}


def kind(**differs: Any) -> dict[str, Any]:
    """A Kind cluster that is accepted, but for what differs."""
    return {"airflow_kind_cluster": {"kubernetes_version": "1.34.3", **differs}}


def loaded(says: str, **variables: Any) -> Row:
    """Says what of an image that is brought to the nodes of a Kind cluster."""
    named = {f"airflow_{name}": value for name, value in {"image": "example.org/a:1", **variables}.items()}
    return row("image_registry", f"airflow_{says}", {**POD_EACH, **kind(), **named}, CLUSTER)


DAGS = str(Path(__file__).parents[2] / "dags")
BUILT = {"image_repository": "registry.example.org/team/airflow"}


def built(says: str, rule: str = "image_build", **variables: Any) -> Row:
    """Says what of an image that is built."""
    return in_pods(rule, says, **{**BUILT, **variables})


def kind_node(**differs: Any) -> dict[str, Any]:
    return kind(nodes=[{"role": "control-plane", **differs}])


KIND_PORT = {"container_port": 30080, "host_port": 8080}
VM = {"airflow_local_vm": {"forward": [{"host_port": 8080, "port": 8080}]}}
ZEROES = base64.urlsafe_b64encode(bytes(32)).decode()

REFUSED = [
    # Types, by the argument spec alone.
    row(
        "types", "airflow_database_port: 'abc' - must be a whole number, not a string", {"airflow_database_port": "abc"}
    ),
    row("types", "airflow_database_port: True - must be a whole number", {"airflow_database_port": True}),
    row("types", "airflow_version: 3.3 - must be a string, not a number: quote it", {"airflow_version": 3.3}),
    row("types", "airflow_name: False - must be a string, not a boolean: quote it", {"airflow_name": False}),
    row("types", "airflow_dags: must be a string, not null", {"airflow_dags": None}),
    row("types", "airflow_config: must be a dictionary, not a list", {"airflow_config": [1]}),
    row(
        "types",
        "airflow_requirements: 'a,b' - must be a list, not a string: with -e, give JSON",
        {"airflow_requirements": "a,b"},
    ),
    row("types", "airflow_requirements[1]: 3 - must be a string", {"airflow_requirements": ["a", 3]}),
    row("types", "airflow_pools[0]: 'a' - must be a dictionary", {"airflow_pools": ["a"]}),
    row("types", "airflow_database_sslmode: 'requrie' - must be one of", {"airflow_database_sslmode": "requrie"}),
    row("types", "did you mean require?", {"airflow_database_sslmode": "requrie"}),
    row(
        "types",
        "airflow_admin_password: must be a string, not a whole number",
        {"airflow_admin_password": 123456789012},
    ),
    row("types", "airflow_fernet_key: can't be evaluated", {"airflow_fernet_key": Unreadable("can't be evaluated")}),
    row("types", "airflow_config.api.port: can't", config("api", "port", Unreadable("can't be evaluated"))),
    row("types", "airflow_local_vm.forwrd: is no option; did you mean forward?", {"airflow_local_vm": {"forwrd": []}}),
    row(
        "types",
        "airflow_local_vm.forward[0].port: must be given",
        {"airflow_local_vm": {"forward": [{"host_port": 1}]}},
    ),
    # Names.
    row(
        "unknown_variable",
        "airflow_exeuctor: is no variable of this collection: did you mean airflow_executor?",
        {"airflow_exeuctor": "x"},
    ),
    row("unknown_variable", "did you mean airflow_dags?", {"airflow_dag": "x"}),
    row(
        "unknown_group",
        "group airflow_workers: is no group of this collection: did you mean airflow_worker?",
        groups={**ONE, "airflow_workers": ["a"]},
    ),
    # Topology.
    row("name", "airflow_name: 'My Airflow'", {"airflow_name": "My Airflow"}),
    row("name", "airflow_name: '1a'", {"airflow_name": "1a"}),
    row("version", "airflow_version: '3.9.9' - is not supported; choose 3.3.2", {"airflow_version": "3.9.9"}),
    row("executor", "airflow_executor: 'Celery' - did you mean CeleryExecutor?", {"airflow_executor": "Celery"}),
    row(
        "executor",
        "airflow_executor: 'SequentialThing' - choose LocalExecutor",
        {"airflow_executor": "SequentialThing"},
    ),
    row("broker", "airflow_executor: 'CeleryExecutor' - no broker: ", {"airflow_executor": "CeleryExecutor"}, CELERY),
    row("two_brokers", "airflow_broker_url: names an existing broker, and group airflow_redis has a", BROKER,
        {**CELERY, "airflow_redis": ["a"]}),
    row("workers", "airflow_executor: 'CeleryExecutor' - no workers: add a host to group airflow_worker", BROKER),
    row(
        "workers",
        "airflow_executor: 'LocalExecutor' - it has no workers, but group airflow_worker has w",
        groups=CELERY,
    ),
    row(
        "one_host",
        "group airflow_redis: has a, b: replicas are not built",
        groups={**TWO, "airflow_redis": ["a", "b"]},
    ),
    row(
        "queues",
        "airflow_worker_queues (on w): '[]' - is empty: a worker without a queue gets no task",
        {**BROKER, "airflow_worker_queues": []},
        CELERY,
    ),
    row(
        "queues",
        "airflow_worker_queues[1] (on w): 'a,b' - use 1 to 100",
        {**BROKER, "airflow_worker_queues": ["default", "a,b"]},
        CELERY,
    ),
    row(
        "default_queue",
        "airflow_worker_queues (on w): no worker consumes queue default",
        {**BROKER, "airflow_worker_queues": ["heavy"]},
        CELERY,
    ),
    row(
        "abandoned_queue",
        "airflow_worker_queues (on x): the host leaves, and nobody else consumes heavy",
        BROKER,
        {**CELERY, "airflow_removed": ["x"]},
        {"x": {"airflow_worker_queues": ["default", "heavy"]}},
    ),
    row(
        "shared_options",
        "airflow_config.logging.worker_log_server_port (on w): 8795 - differs between hosts",
        BROKER,
        CELERY,
        {"w": config("logging", "worker_log_server_port", 8795)},
    ),
    row("one_local_scheduler", "group airflow_scheduler has a, b", groups={**TWO, "airflow_scheduler": ["a", "b"]}),
    row(
        "kubernetes_executor",
        "airflow_executor: 'KubernetesExecutor' - no cluster",
        {"airflow_executor": "KubernetesExecutor"},
    ),
    *(
        row("required_components", f"group {group}: is empty", groups={**without(group), "airflow_postgresql": ["a"]})
        for group in COMPONENTS
    ),
    row("not_built", "group airflow_flower: Flower is not built yet", groups={**ONE, "airflow_flower": ["a"]}),
    row(
        "hybrid",
        "group airflow_cluster: a hybrid is not built yet: empty it, or empty airflow_api_server",
        groups={**ONE, "airflow_cluster": ["a"]},
    ),
    *(
        row("hybrid", f"or empty {group}", {**POD_EACH, **BROKER}, {**CLUSTER, "airflow": ["c", "d"], group: ["d"]})
        for group in ("airflow_redis", "airflow_pgbouncer", "airflow_proxy", "airflow_postgresql")
    ),
    row(
        "stray_hosts",
        "group airflow_triggerer: z must be in group airflow too",
        groups={**ONE, "airflow_triggerer": ["z"]},
    ),
    row("removed_hosts", "group airflow_removed: a must leave group airflow", groups={**ONE, "airflow_removed": ["a"]}),
    row(
        "one_deployment",
        "airflow_admin_email (on a): 'admin@example.com' - differs",
        groups=TWO,
        hosts={"b": {"airflow_admin_email": "x@example.org"}},
    ),
    row(
        "one_deployment",
        "airflow_pools: differs between hosts",
        groups=TWO,
        hosts={"b": {"airflow_pools": [{"name": "p", "slots": 1}]}},
    ),
    # Secrets.
    row("fernet_key", "airflow_fernet_key: is no Fernet key", {"airflow_fernet_key": "not a key"}),
    row(
        "fernet_key",
        "airflow_fernet_key: is 16 bytes long, 32 are needed",
        {"airflow_fernet_key": base64.urlsafe_b64encode(b"0123456789abcdef").decode()},
    ),
    row(
        "fernet_key",
        "is not URL-safe: write - for +",
        {"airflow_fernet_key": base64.b64encode(b"\xfb\xff" * 16).decode()},
    ),
    row("fernet_key", "airflow_fernet_key: key 2 is no Fernet key", {"airflow_fernet_key": f"{FERNET},oops!"}),
    row(
        "fernet_key", "airflow_fernet_key: key 2 is no Fernet key", {"airflow_fernet_key": f"{FERNET}, {OTHER_FERNET}"}
    ),
    row("fernet_key", "airflow_fernet_key: is not random", {"airflow_fernet_key": ZEROES}),
    row("short_secret", "airflow_jwt_secret: has 31 characters, 32 are needed", {"airflow_jwt_secret": LONG[:31]}),
    row("short_secret", "airflow_api_secret_key: has 5 characters", {"airflow_api_secret_key": "short"}),
    row(
        "equal_secrets",
        "airflow_api_secret_key: is the same as airflow_jwt_secret",
        {"airflow_jwt_secret": LONG, "airflow_api_secret_key": LONG},
    ),
    row(
        "equal_secrets",
        "airflow_jwt_secret: is the same as airflow_fernet_key",
        {"airflow_jwt_secret": FERNET, "airflow_fernet_key": f"{FERNET},{OTHER_FERNET}"},
    ),
    row("equal_secrets", "airflow_results_database_password: is the same as airflow_database_password: each",
        {"airflow_database_password": LONG, "airflow_results_database_password": LONG}),
    row("equal_secrets", "airflow_broker_password: is the same as airflow_results_database_password",
        {"airflow_results_database_password": LONG, "airflow_broker_password": LONG}),
    row("equal_secrets", "airflow_database_password: is the same as airflow_admin_password",
        {"airflow_admin_password": LONG, "airflow_database_password": LONG}),
    row("equal_secrets", "airflow_results_database_password: is the same as airflow_database_password",
        {**EXTERNAL, "airflow_results_database_password": "given-by-somebody"}, without("airflow_postgresql")),
    row("weak_password", "airflow_broker_password: has fewer than 12 characters",
        {**OWN_BROKER, "airflow_broker_password": "x"}, REDIS),
    row("weak_password", "airflow_database_password: has fewer than 12", {"airflow_database_password": "kR7#pQ2!xZ9"}),
    row("weak_password", "airflow_results_database_password: is the user's name",
        {"airflow_results_database_password": "airflow_results", "airflow_results_database_user": "airflow_results"}),
    row("weak_password", "has fewer than 12 characters", {"airflow_admin_password": "kR7#pQ2!xZ9"}),
    row("weak_password", "is a well-known password", {"airflow_admin_password": "airflowairflow"}),
    row("weak_password", "is a well-known password", {"airflow_admin_password": "Airflow-2026!!"}),
    row("weak_password", "is a well-known password", {"airflow_admin_password": "ChangeMe-12345"}),
    row("weak_password", "is a well-known password", {"airflow_admin_password": "P@ssw0rd!2026"}),
    row("weak_password", "is a well-known password", {"airflow_admin_password": "4dm1n1$tr4t0r"}),
    row("weak_password", "is a well-known password", {"airflow_admin_password": "L3+M3In-L3+M3In"}),
    row("weak_password", "is a well-known password", {"airflow_admin_password": "p.a.s.s.w.o.r.d."}),
    row("weak_password", "is a well-known password", {"airflow_admin_password": "A!rf|0w#Sup3r5ecre7"}),
    row("weak_password", "is a well-known password", {"airflow_admin_password": "ababababababab"}),
    row("weak_password", "is a well-known password", {"airflow_admin_password": "123456789012"}),
    row(
        "weak_password",
        "is the user's name",
        {"airflow_admin_password": "Wilhelmina-von-B", "airflow_admin_username": "wilhelmina-von-b"},
    ),
    row("untidy_secret", "airflow_jwt_secret: has white space around it", {"airflow_jwt_secret": LONG + "\n"}),
    row(
        "untidy_secret",
        "airflow_database_password: has white space around it",
        {"airflow_database_password": "two\x07"},
    ),
    row(
        "secrets_differ",
        "airflow_jwt_secret: differs between hosts",
        {"airflow_jwt_secret": LONG},
        TWO,
        {"b": {"airflow_jwt_secret": LONGER}},
    ),
    row("admin", "is that of the collection's own service account", {"airflow_admin_username": "windward"}),
    row("admin", "is that of the collection's own", {"airflow_admin_email": "Windward@localhost"}),
    row("database_names", "pg_airflow' - is PostgreSQL's own", {"airflow_database_user": "pg_airflow"}),
    row("admin", "airflow_admin_username: 'a b'", {"airflow_admin_username": "a b"}),
    row("admin", "airflow_admin_email: 'nobody'", {"airflow_admin_email": "nobody"}),
    # Data.
    row("no_database", "airflow_database_host: no database", groups=without("airflow_postgresql")),
    row(
        "no_database",
        "airflow_database_host: 'db.example.org' - names an existing server, and group airflow_postgresql has a",
        EXTERNAL,
    ),
    row("no_database", "replicas are not built", groups={**TWO, "airflow_postgresql": ["a", "b"]}),
    row(
        "external_password",
        "airflow_database_password: must be given",
        {"airflow_database_host": "db"},
        without("airflow_postgresql"),
    ),
    row(
        "external_password",
        "airflow_results_database_password: must be given",
        {**EXTERNAL, **BROKER},
        without("airflow_postgresql", CELERY),
    ),
    row(
        "database_address",
        "airflow_database_host: 'db:5432' - give a name or an address only",
        {**EXTERNAL, "airflow_database_host": "db:5432"},
        without("airflow_postgresql"),
    ),
    row(
        "database_address",
        "airflow_database_host: 'localhost' - each of several hosts",
        {**EXTERNAL, "airflow_database_host": "localhost"},
        {**without("airflow_postgresql", TWO), "airflow_dag_processor": ["b"]},
    ),
    row(
        "database_tls",
        "airflow_database_sslmode: 'verify-full' - needs airflow_database_ca_path",
        {"airflow_database_sslmode": "verify-full"},
    ),
    row(
        "database_names",
        "airflow_results_database_name: 'airflow' - must not be airflow_database_name",
        {"airflow_results_database_name": "airflow"},
    ),
    row(
        "database_names",
        "airflow_results_database_user: 'airflow' - must not be airflow_database_user",
        {"airflow_results_database_user": "airflow"},
    ),
    row("database_names", "airflow_database_name: 'Air flow' - use up to 63", {"airflow_database_name": "Air flow"}),
    row(
        "database_names",
        "airflow_database_user: 'postgres' - is PostgreSQL's own",
        {"airflow_database_user": "postgres"},
    ),
    row(
        "database_names",
        "airflow_database_name: must be given",
        {**EXTERNAL, "airflow_database_name": ""},
        without("airflow_postgresql"),
    ),
    row(
        "broker_url",
        "airflow_broker_url: is no URL of a broker",
        {**BROKER, "airflow_broker_url": "redis:6379"},
        CELERY,
    ),
    row(
        "broker_url",
        "airflow_broker_url: is no URL of a broker",
        {**BROKER, "airflow_broker_url": "redis://:pw@h:99999999/0"},
        CELERY,
    ),
    row(
        "broker_url",
        "airflow_broker_url: each of several hosts",
        {**BROKER, "airflow_broker_url": "redis://:pw@localhost:6379/0"},
        CELERY,
    ),
    row(
        "broker_url",
        "airflow_broker_url: has no password, and the messages in a broker hold tokens",
        {**BROKER, "airflow_broker_url": "redis://10.9.9.9:6379/0"},
        CELERY,
    ),
    row(
        "broker_url",
        "airflow_config.celery_broker_transport_options.master_name: must be given: Sentinel asks which Redis",
        {**BROKER, "airflow_broker_url": "sentinel://:pw-of-the-broker@10.9.9.9:26379/0"},
        CELERY,
    ),
    row(
        "redis_config",
        "airflow_redis_config.maxmemory-policy: 'allkeys-lru' - a full Redis would throw queued tasks away: use noev",
        {**OWN_BROKER, "airflow_redis_config": {"maxmemory-policy": "allkeys-lru"}},
        REDIS,
    ),
    row(
        "redis_config",
        "airflow_redis_config.requirepass: is set by the collection; use airflow_broker_password",  # and no value
        {**OWN_BROKER, "airflow_redis_config": {"requirepass": "x"}},
        REDIS,
    ),
    row(
        "redis_config",
        "airflow_redis_config.protected-mode: 'no' - is set by the collection; leave it out",
        {**OWN_BROKER, "airflow_redis_config": {"protected-mode": "no"}},
        REDIS,
    ),
    row(
        "redis_config",
        "airflow_redis_config.maxmemory: has a line end",
        {**OWN_BROKER, "airflow_redis_config": {"maxmemory": "1gb\nbind 0.0.0.0"}},
        REDIS,
    ),
    row(
        "celery_options",
        "visibility_timeout: 3600 - a task that runs longer is handed out again while it runs: give more than airflow_"
        "drain_timeout (3600)",
        {**BROKER, **config("celery_broker_transport_options", "visibility_timeout", 3600)},
        CELERY,
    ),
    row(
        "celery_options",
        "visibility_timeout: 'long' - a task",
        {**BROKER, **config("celery_broker_transport_options", "visibility_timeout", "long")},
        CELERY,
    ),
    row(
        "celery_options",
        "global_keyprefix: 'x_' - Airflow's user on our Redis may use no other keys",
        {**OWN_BROKER, **config("celery_broker_transport_options", "global_keyprefix", "x_")},
        REDIS,
    ),
    row(
        "celery_options",
        "worker_enable_remote_control: False - a worker that takes no commands can't be drained",
        {**BROKER, **config("celery", "worker_enable_remote_control", "False")},
        CELERY,
    ),
    row(
        "postgresql_config",
        "airflow_postgresql_config.port: 5433 - is set by the collection; use airflow_database_port",
        {"airflow_postgresql_config": {"port": 5433}},
    ),
    row(
        "postgresql_config",
        "airflow_postgresql_config.Max Connections: is no name",
        {"airflow_postgresql_config": {"Max Connections": 5}},
    ),
    row(
        "postgresql_config",
        "airflow_postgresql_config.work_mem: must be a string",
        {"airflow_postgresql_config": {"work_mem": [4]}},
    ),
    row(
        "pgbouncer_config",
        "airflow_pgbouncer_config.pool_mode: 'session' - is set by the collection; leave it out",
        {"airflow_pgbouncer_config": {"pool_mode": "session"}},
    ),
    row(
        "pgbouncer_config",
        "airflow_pgbouncer_config.listen_port: 6433 - is set by the collection; use airflow_pgbouncer_port",
        {"airflow_pgbouncer_config": {"listen_port": 6433}},
    ),
    row(
        "pgbouncer_config",
        "airflow_pgbouncer_config.verbose: has a line end",
        {"airflow_pgbouncer_config": {"verbose": "1\npool_mode = session"}},
    ),
    row(
        "pooled_names",
        "airflow_database_name: 'air flow' - PgBouncer can't have it",
        {**EXTERNAL, "airflow_database_name": "air flow"},
        without("airflow_postgresql", POOLED),
    ),
    row(
        "pooled_names",
        "airflow_results_database_name: 'pgbouncer' - PgBouncer can't have it",
        {"airflow_results_database_name": "pgbouncer"},
        POOLED,
    ),
    row(
        "pooled_statements",
        "airflow_config.database.sql_alchemy_connect_args_async: is set by the collection behind PgBouncer",
        config("database", "sql_alchemy_connect_args_async", "my.module.ARGS"),
        POOLED,
    ),
    row(
        "database_pools",
        "airflow_postgresql_config.max_connections (on b): 40 - PgBouncer's pools may take 35, and 20 are kept for "
        "other work: give 55, or leave it out",
        {"airflow_postgresql_config": {"max_connections": 40}},
        POOLED,
    ),
    row(
        "database_pools",
        "airflow_postgresql_config.max_connections (on b): 100 - PgBouncer's pools may take 90, and",
        {"airflow_postgresql_config": {"max_connections": 100}, "airflow_pgbouncer_config": {"default_pool_size": 90}},
        POOLED,
    ),
    # Hosts.
    row("address", "airflow_address: '10.0.0.300' - is no host name", {"airflow_address": "10.0.0.300"}),
    row("address", "airflow_address: 'fd00::11' - Airflow's URLs can't have an IPv6", {"airflow_address": "fd00::11"}),
    row("address", "airflow_address (on b): 'fd00::12' - Airflow's URLs", groups=TWO, hosts={
        "b": {"ansible_host": "fd00::12"}}),
    row(
        "address",
        "airflow_address (on b): '127.0.0.1' - the other hosts can't reach it",
        groups=TWO,
        hosts={"b": {"ansible_host": "127.0.0.1"}},
    ),
    row(
        "same_address",
        "ansible_host (on b): '10.0.0.10' - a has the same",
        groups=TWO,
        hosts={"b": {"ansible_host": "10.0.0.10"}},
    ),
    row("same_address", "airflow_address (on b): '10.7.7.7' - a has the same", {"airflow_address": "10.7.7.7"}, TWO),
    row(
        "port_twice",
        "airflow_config.logging.trigger_log_server_port: 8080 - triggerer and api-server",
        config("logging", "trigger_log_server_port", 8080),
    ),
    row("port_twice", "airflow_database_port: 8080 - postgresql and api-server", {"airflow_database_port": 8080}),
    row(
        "port_twice",
        "scheduler_health_check_server_port: 8080",
        {"airflow_config": {"scheduler": {"enable_health_check": True, "scheduler_health_check_server_port": "8080"}}},
    ),
    row("port_range", "airflow_config.api.port: 80 - must be a port from 1024", config("api", "port", 80)),
    row("port_range", "airflow_config.api.port: 'http' - must be a port", config("api", "port", "http")),
    row("number", "airflow_drain_timeout: 0 - must be from 1 to", {"airflow_drain_timeout": 0}),
    row("number", "airflow_worker_batch: 0 - must be from 1 to", {"airflow_worker_batch": 0}),
    row("number", "airflow_releases_keep: 1 - must be from 2 to", {"airflow_releases_keep": 1}),
    row("number", "airflow_database_port: 65536", {"airflow_database_port": "65536"}),
    row("size", "airflow_journal_max_size: '1 GB'", {"airflow_journal_max_size": "1 GB"}),
    row("path", "airflow_python: 'python3' - must be an absolute path", {"airflow_python": "python3"}),
    row("path", "airflow_state_dir: '/srv/../x' - must be an absolute path", {"airflow_state_dir": "/srv/../x"}),
    row("path", "airflow_log_dir: '/srv/a b' - must be an absolute path", {"airflow_log_dir": "/srv/a b"}),
    row("directory", "airflow_install_dir: '/opt' - is removed by cleanup", {"airflow_install_dir": "/opt"}),
    row("directory", "airflow_log_dir: '/airflow' - is removed by cleanup", {"airflow_log_dir": "/airflow"}),
    row("directory", "airflow_state_dir: '/var/lib/dpkg' - is removed", {"airflow_state_dir": "/var/lib/dpkg"}),
    row(
        "directory",
        "airflow_state_dir: '/home/airflow' - the units can't use what is under /home",
        {"airflow_state_dir": "/home/airflow"},
    ),
    row(
        "directory",
        "airflow_state_dir: '/opt/airflow/state' - must not be in airflow_install_dir",
        {"airflow_state_dir": "/opt/airflow/state"},
    ),
    row(
        "directory",
        "must not be in airflow_install_dir (/opt/airflow)",
        {"airflow_config_dir": "/opt/airflow", "airflow_install_dir": "/opt/airflow"},
    ),
    row(
        "url",
        "airflow_package_index_url: 'pypi.org/simple' - must be a URL",
        {"airflow_package_index_url": "pypi.org/simple"},
    ),
    row("url", "airflow_download_mirror: 'mirror' - must be a URL", {"airflow_download_mirror": "mirror"}),
    row(
        "url",
        "airflow_package_index_url: 'https://***@x:y/simple'",
        {"airflow_package_index_url": "https://u:hidden@x:y/simple"},
    ),
    row("url", "airflow_debian_mirror: '/mnt/debian' - must be a URL", {"airflow_debian_mirror": "/mnt/debian"}),
    row(
        "proxy",
        "airflow_proxy_environment.htps_proxy: did you mean https_proxy?",
        {"airflow_proxy_environment": {"htps_proxy": "http://p:1"}},
    ),
    row("proxy", "airflow_proxy_environment.TZ: is none of", {"airflow_proxy_environment": {"TZ": "UTC"}}),
    row(
        "proxy",
        "airflow_proxy_environment.https_proxy: must be a URL",
        {"airflow_proxy_environment": {"https_proxy": "proxy:3128"}},
    ),
    row(
        "proxy",
        "airflow_proxy_environment.no_proxy: must be a string",
        {"airflow_proxy_environment": {"no_proxy": ["a"]}},
    ),
    row(
        "local_vm",
        "airflow_local_vm_network: '10.203.0.1/24' - must be an IPv4 network",
        {"airflow_local_vm_network": "10.203.0.1/24"},
    ),
    row(
        "local_vm",
        "airflow_local_vm_network: '8.8.8.0/24' - must be a private network",
        {"airflow_local_vm_network": "8.8.8.0/24"},
    ),
    row(
        "local_vm",
        "airflow_local_vm_bridge: 'much-too-long-a-name'",
        {"airflow_local_vm_bridge": "much-too-long-a-name"},
    ),
    row("local_vm", "airflow_local_vm_suite: 'Debian 12'", {"airflow_local_vm_suite": "Debian 12"}),
    row(
        "local_vm",
        "ansible_host: '10.203.0.1' - is the address of the bridge",
        VM,
        hosts={"a": {"ansible_host": "10.203.0.1"}},
    ),
    row("forward_twice", "airflow_local_vm.forward[0].host_port (on b): 8080 - a has this port", VM, TWO),
    row(
        "forward_twice",
        "airflow_local_vm.forward[0].port: 70000",
        {"airflow_local_vm": {"forward": [{"host_port": 1, "port": 70000}]}},
    ),
    # A Kind cluster.
    row("one_cluster", "group airflow_cluster: has c, d", POD_EACH, TWO_CLUSTERS),
    row("cluster_from_here", "group airflow_cluster: c must be this computer", POD_EACH, CLUSTER,
        {"c": {"ansible_connection": "ssh"}}),
    row("cluster_from_here", "group airflow_cluster: c must be this computer", POD_EACH, CLUSTER,
        {"c": {"ansible_connection": ""}}),
    row("only_in_a_cluster", "airflow_node_port: only a cluster reads it", {"airflow_node_port": 30080}),
    row("only_in_a_cluster", "airflow_image: only a cluster reads it", {"airflow_image": "apache/airflow:3.3.2"}),
    row("cluster_executor", "airflow_executor: 'LocalExecutor' - is for one host", groups=CLUSTER),
    in_pods("cluster_namespace", "namespace: 'My_Space' - use 1 to 63", namespace="My_Space"),
    in_pods("cluster_namespace", "namespace: 'kube-system' - is Kubernetes' own", namespace="kube-system"),
    in_pods("cluster_namespace", "namespace: 'kube-flow' - is Kubernetes' own", name="kube-flow"),
    in_pods("only_on_hosts", "worker_queues: only hosts read it, and Airflow is in a cluster: queues are those of",
            worker_queues=["heavy"]),
    in_pods("only_on_hosts", "install_dir: '/srv/airflow' - only hosts read it", install_dir="/srv/airflow"),
    in_pods("charts_own_options", "config.api.port: is the chart's to set", config={"api": {"port": 8081}}),
    in_pods("charts_own_options", "config.kubernetes_executor.namespace: is the chart's",
            config={"kubernetes_executor": {"namespace": "other"}}),
    in_pods("database_names", "database_user: 'postgres' - is PostgreSQL's own", database_user="postgres"),
    in_pods("database_tls", "database_sslmode: 'require' - PostgreSQL of ours in a cluster has no",
            database_sslmode="require"),
    in_pods("database_address", "database_host: '127.0.0.1' - each pod would look in itself",
            database_host="127.0.0.1", database_password="given-by-somebody"),
    row("broker_url", "airflow_broker_url: each pod would look in itself",
        {"airflow_executor": "CeleryExecutor", "airflow_broker_url": "redis://:pw-of-the-broker@localhost:6379/0"},
        CLUSTER),
    in_pods("secret_references", "secret_references.key: is not known", secret_references={"key": REFERENCE}),
    in_pods("secret_references", "secret_references.jwt_secret: must be a dictionary",
            secret_references={"jwt_secret": "shared"}),
    in_pods("secret_references", "secret_references.jwt_secret: is no name",
            secret_references={"jwt_secret": {"name": "A B", "key": "jwt"}}),
    in_pods("secret_references", "jwt_secret: is given, and", jwt_secret=LONG,
            secret_references={"jwt_secret": REFERENCE}),
    in_pods("task_pods_namespace", "task_pods_namespace: 'kube-system' - must be", task_pods_namespace="kube-system"),
    in_pods("task_pods_namespace", "task_pods_namespace: 'airflow' - is Airflow's own", task_pods_namespace="airflow"),
    in_pods("chart", "chart_source: './chart.tgz' - must begin with", chart_source="./chart.tgz"),
    in_pods("chart", "chart_version: 'latest' - must be a version", chart_version="latest"),
    in_pods("chart", "chart_digest: '1f7d' - must be sha256:", chart_digest="1f7d"),
    in_pods("cluster_images", "image: 'Airflow 3' - must be an image", image="Airflow 3"),
    in_pods("cluster_images", "redis_image: 'x' - must be an image", redis_image="x"),
    in_pods("cluster_images", "image_pull_secrets[0]: 'A B' - is no name", image_pull_secrets=["A B"]),
    in_pods("cluster_images", "requirements: can't be added to pods", requirements=["pandas"]),
    in_pods("cluster_images", "system_packages: can't be added to pods", system_packages=["git"]),
    in_pods("cluster_images", "plugins: can't be added to pods", plugins="/etc"),
    in_pods("cluster_images", "requirements: can't be added to airflow_image", requirements=["pandas"], image="a/b:1"),
    built("image_repository: 'registry.example.org/a:1' - must be", image_repository="registry.example.org/a:1"),
    built("image_repository: 'team/airflow' - names no registry", image_repository="team/airflow"),
    built("image_repository: 'airflow' - names no registry", image_repository="airflow"),
    built("image_repository: 'x.ecr.amazonaws.com/a' - must be", image_repository="x.ecr.amazonaws.com/a"),
    built("image: is given, and airflow_image_repository builds another", image="example.org/a:1"),
    built("image_base: can't be built on: apache/airflow has no tag", image_base="apache/airflow"),
    built("image_tag: 'a b' - is no tag", image_tag="a b"),
    built("image_platform: 'arm64' - is no platform", image_platform="arm64"),
    built("image_build_network: 'a b' - is no network", image_build_network="a b"),
    built("image_keep: -1 - must be from 1 to 1000", image_keep=-1),
    in_pods("image_build", "image_tag: is for an image that is built", image_tag="20261122080000"),
    in_pods("image_build", "image_platform: is for an image that is built", image_platform="linux/arm64"),
    in_pods("image_build", "image_base: is for an image that is built", image_base="apache/airflow:3.3.2"),
    built("image_aws_profile: 'a' - is for ECR", "image_registry", image_aws_profile="a"),
    built("image_registry_password: is empty", "image_registry", image_registry_username="reader"),
    built("requirements[0]: has a log-in in its URL", "image_requirements",
          requirements=["acme @ https://user:pw@example.org/acme-1.tar.gz"]),
    in_pods("image_dags", "image_dags: the official image has none", image_dags=True),
    built("image_dags: there are no airflow_dags", "image_dags", image_dags=True),
    in_pods("image_dags", "dags: is not read where airflow_image holds", image_dags=True, image="a/b:1", dags=DAGS),
    built("dags_release: '0f5c1c9a4f2b' - is for DAGs on a volume", "image_dags", image_dags=True, dags=DAGS,
          dags_release="0f5c1c9a4f2b"),
    loaded("image: can't be brought to the nodes: example.org/a has no tag", image="example.org/a"),
    loaded("image: can't be brought to the nodes: x.ecr.amazonaws.com is no", image="x.ecr.amazonaws.com/a:1"),
    loaded("image_registry_url: 'example.org' - must begin with", image_registry_url="example.org"),
    loaded("image_registry_url: holds a log-in: give", image_registry_url="https://reader:pw-x@example.org"),
    loaded("image_registry_url: holds a log-in: give", image_registry_url="reader:pw-x@example.org"),
    loaded("image_registry_password: is empty, and airflow_image_registry_username", image_registry_username="reader"),
    loaded("image_registry_username: is empty, and airflow_image_registry_password", image_registry_password="x"),
    loaded("image_aws_profile: 'a' - is for ECR, and example.org is another registry", image_aws_profile="a"),
    loaded("image_aws_role_arn: 'a' - is for ECR, and example.org", image_aws_role_arn="a"),
    in_pods("cluster_ca", "database_ca_path: '/etc/ca.pem' - is not brought", database_ca_path="/etc/ca.pem"),
    in_pods("replicas", "replicas.schedulr: is not known; did you mean scheduler", replicas={"schedulr": 1}),
    in_pods("replicas", "replicas.scheduler: 0 - must be a number from 1", replicas={"scheduler": 0}),
    in_pods("replicas", "replicas.api-server: True - must be a number", replicas={"api-server": True}),
    in_pods("worker_sets", "worker_sets: only CeleryExecutor has workers", worker_sets=[{"name": "a"}]),
    workers("[0].name: 'A' - use 1 to 20", {"name": "A"}),
    workers("[1].name: 'a' - another set", {"name": "a"}, {"name": "a"}),
    workers("[0].replicas: 101 - must be", {"name": "a", "replicas": 101}),
    workers("[0].queues: 'a b' - use letters", {"name": "a", "queues": ["a b", "default"]}),
    workers("[0].queues: '[]' - is empty", {"name": "a", "queues": []}, {"name": "b"}),
    workers(": no set consumes queue default", {"name": "a", "queues": ["heavy"]}),
    in_pods("container_resources", "container_resources.web: is not known", container_resources={"web": {}}),
    *(
        in_pods("container_resources", f"container_resources.task{says}", container_resources={"task": value})
        for value, says in [
            ("1Gi", ": must be a dictionary"),
            ({"memory": "1Gi"}, ".memory: must be requests or limits"),
            ({"limits": {"memory": "1 GB"}}, ".limits.memory: must be a quantity"),
            ({"limits": {"memory": "1K"}}, ".limits.memory: must be a quantity"),  # kilo is a small k
            ({"limits": {"cpus": 1}}, ".limits.cpus: is no resource"),
            ({"limits": {"memory": "128Mi"}}, ".limits.memory: is less than what it requests, 256Mi"),
            ({"requests": {"cpu": 2}, "limits": {"cpu": "1500m"}}, ".limits.cpu: is less than what it requests, 2"),
        ]
    ),
    in_pods("node_port", "node_port: 8080 - must be from 30000", node_port=8080),
    in_pods("volume_sizes", "volume_sizes.log: is not known; did you mean logs", volume_sizes={"log": "1Gi"}),
    in_pods("volume_sizes", "volume_sizes.logs: '10' - must be a size", volume_sizes={"logs": "10"}),
    row("kind_name", "airflow_kind_cluster: only a host of group airflow_cluster has a Kind cluster", kind()),
    row("kind_name", "airflow_kind_cluster.name: 'My_Kind' - use up to 40", kind(name="My_Kind"), CLUSTER),
    row("kind_kubeconfig", "airflow_kubeconfig: '/etc/kube' - leads elsewhere than to airflow_kind_cluster",
        {**POD_EACH, **kind(), "airflow_kubeconfig": "/etc/kube"}, CLUSTER),
    row("kind_version", "airflow_kind_cluster: give either", {"airflow_kind_cluster": {}}, CLUSTER),
    row("kind_version", "airflow_kind_cluster: give either", kind(node_image="kindest/node:v1.34.3"), CLUSTER),
    row("kind_version", "kubernetes_version: '1.34' - must be", kind(kubernetes_version="1.34"), CLUSTER),
    row("kind_version", "'1.29.4' - the chart needs Kubernetes 1.30", kind(kubernetes_version="1.29.4"), CLUSTER),
    row(
        "kind_version",
        "airflow_kind_cluster.node_image: '-x' - must be an image",
        {"airflow_kind_cluster": {"node_image": "-x"}},
        CLUSTER,
    ),
    row("kind_nodes", "airflow_kind_cluster.nodes: one of them", kind(nodes=[{"role": "worker"}]), CLUSTER),
    row("kind_nodes", "airflow_kind_cluster.nodes: one of them", kind(nodes=[]), CLUSTER),
    row("types", "airflow_kind_cluster.nodes[0].role: 'master' - must be one of", kind_node(role="master"), CLUSTER),
    row("kind_nodes", "nodes[0].labels.a b: 'x' - is no label", kind_node(labels={"a b": "x"}), CLUSTER),
    row("kind_nodes", "nodes[0].labels.a: 'x y' - is no label", kind_node(labels={"a": "x y"}), CLUSTER),
    row(
        "kind_nodes",
        "nodes[0].extra_mounts[0].host_path: 'data' - must be an absolute path",
        kind_node(extra_mounts=[{"host_path": "data", "container_path": "/data"}]),
        CLUSTER,
    ),
    row(
        "kind_nodes",
        "nodes[0].extra_mounts[0].host_path: '/no/such' - is not there",
        kind_node(extra_mounts=[{"host_path": "/no/such", "container_path": "/data"}]),
        CLUSTER,
    ),
    row("kind_nodes", "feature_gates.X: 'yes' - must be the name", kind(feature_gates={"X": "yes"}), CLUSTER),
    row(
        "kind_ports",
        "nodes[0].port_mappings[1].host_port: 8080 - airflow_kind_cluster.nodes[0].port_mappings[0] has",
        kind_node(port_mappings=[KIND_PORT, {**KIND_PORT, "container_port": 1}]),
        CLUSTER,
    ),
    row(
        "kind_ports",
        "nodes[0].port_mappings[0].container_port: 0 - must be from 1 to 65535",
        kind_node(port_mappings=[{**KIND_PORT, "container_port": 0}]),
        CLUSTER,
    ),
    row(
        "kind_ports",
        "nodes[0].port_mappings[0].listen_address: 'eth0' - must be an address",
        kind_node(port_mappings=[{**KIND_PORT, "listen_address": "eth0"}]),
        CLUSTER,
    ),
    row(
        "kind_mirrors",
        "airflow_kind_cluster.registry_mirrors.docker.io: 'http://a' - must be a list of URLs",
        kind(registry_mirrors={"docker.io": "http://a"}),
        CLUSTER,
    ),
    row(
        "kind_mirrors",
        "airflow_kind_cluster.registry_mirrors.docker.io: 'a:5000' - must be a list of URLs",
        kind(registry_mirrors={"docker.io": ["a:5000"]}),
        CLUSTER,
    ),
    row(
        "kind_mirrors",
        "registry_mirrors.https://docker.io: must be the host of a registry",
        kind(registry_mirrors={"https://docker.io": ["http://a:5000"]}),
        CLUSTER,
    ),
    row(
        "kind_twice",
        "airflow_kind_cluster.name (on d): 'airflow' - c has a cluster of this name",
        kind(),
        {"airflow": ["c", "d"], "airflow_cluster": ["c", "d"]},
    ),
    # Airflow's own options.
    row(
        "unknown_option",
        "airflow_config.core.paralelism: is no option of Airflow: did you mean parallelism?",
        config("core", "paralelism", 4),
    ),
    row(
        "unknown_option",
        "airflow_config.schedulr.job_heartbeat_sec: is in no section of Airflow: did you mean scheduler?",
        config("schedulr", "job_heartbeat_sec", 4),
    ),
    row(
        "unknown_option",
        "airflow_config.webserver.base_url: is api.base_url now",
        config("webserver", "base_url", "https://airflow.example.org"),
    ),
    row("config_shape", "airflow_config.Core: is no section", {"airflow_config": {"Core": {}}}),
    row("config_shape", "airflow_config.core: must be a dictionary", {"airflow_config": {"core": "x"}}),
    row("config_shape", "airflow_config.core.Parallelism: is no option", config("core", "Parallelism", 4)),
    row("config_shape", "airflow_config.core.a = b: is no option", config("core", "a = b", 4)),
    row("config_value", "airflow_config.core.parallelism: is null", config("core", "parallelism", None)),
    row(
        "config_value",
        "airflow_config.core.x: must be one value: write {{ ... | to_json }}",
        config("core", "x", {"a": 1}),
    ),
    row("config_value", "airflow_config.core.x: has a control character", config("core", "x", "a\x00b")),
    row(
        "config_value",
        "airflow_config.logging.log_format: '%%(message)s' - write % once",
        config("logging", "log_format", "%%(message)s"),
    ),
    row(
        "json_option",
        "airflow_config.celery.extra_celery_config: must be a dictionary in JSON",
        config("celery", "extra_celery_config", "{'worker_max_tasks_per_child': 10}"),
    ),
    row("json_option", "airflow_config.sdk.coordinators: must be a dictionary", config("sdk", "coordinators", "[]")),
    row("json_option", "airflow_config.secrets.backend_kwargs: must be", config("secrets", "backend_kwargs", True)),
    row(
        "owned_option",
        "airflow_config.core.fernet_key: is set by the collection; use airflow_fernet_key",
        config("core", "fernet_key", FERNET),
    ),
    row(
        "owned_option",
        "airflow_config.database.sql_alchemy_conn_cmd: is set by the collection",
        config("database", "sql_alchemy_conn_cmd", "x"),
    ),
    row("owned_option", "use airflow_executor", config("core", "executor", "LocalExecutor")),
    row(
        "unsafe_option", "airflow_config.core.load_examples: True - the examples", config("core", "load_examples", True)
    ),
    row(
        "unsafe_option",
        "airflow_config.core.simple_auth_manager_all_admins: 'True' - everybody",
        config("core", "simple_auth_manager_all_admins", "True"),
    ),
    row(
        "unsafe_option",
        "only FAB's is supported",
        config("core", "auth_manager", "airflow.api_fastapi.auth.managers.simple.SimpleAuthManager"),
    ),
    row(
        "unsafe_option",
        "airflow_config.api.access_control_allow_origins: '*' - any site",
        config("api", "access_control_allow_origins", "*"),
    ),
    row(
        "base_url",
        "airflow_config.api.base_url: 'airflow.example.org' - must begin with https://",
        config("api", "base_url", "airflow.example.org"),
    ),
    row(
        "base_url",
        "must have no user, query or fragment",
        config("api", "base_url", "https://airflow.example.org/?x=1"),
    ),
    # The proxy.
    row("base_url", "'https://a.example.org/a b' - must begin", config("api", "base_url", "https://a.example.org/a b")),
    row("base_url", "'http://[' - must begin", config("api", "base_url", "http://["), PROXY),
    row("execution_api_url", "'http://[' - give the execution", config("core", "execution_api_server_url", "http://[")),
    row("base_url", "may have a path of letters", config("api", "base_url", 'https://a.example.org/"quoted"')),
    row("base_url", "may have a path of letters", config("api", "base_url", "https://a.example.org//x")),
    row("port_twice", "airflow_proxy_port: 8080 - proxy and api-server", {"airflow_proxy_port": 8080},
        {**ONE, "airflow_proxy": ["a"]}),
    row("one_host", "group airflow_proxy: has a, b", groups={**TWO, "airflow_proxy": ["a", "b"]}),
    row(
        "proxy_ends_tls",
        "airflow_config.api.ssl_cert: '/etc/ssl/mine.pem' - the proxy asks the api-servers over plain HTTP",
        config("api", "ssl_cert", "/etc/ssl/mine.pem"),
        PROXY,
    ),
    row(
        "believed_headers",
        "airflow_config.fab.enable_proxy_fix (on a): True - whoever connects could say that he is somebody else: leave",
        config("fab", "enable_proxy_fix", True),
        PROXY,
    ),
    row(
        "believed_headers",
        "airflow_config.fab.enable_proxy_fix: 'true' - whoever connects could say that he is somebody else: there is",
        config("fab", "enable_proxy_fix", "true"),
    ),
    row(
        "believed_headers",
        "airflow_environment.FORWARDED_ALLOW_IPS: whoever connects",
        environment("FORWARDED_ALLOW_IPS", "10.0.0.1, *"),
    ),
    row(
        "believed_headers",
        "airflow_environment.FORWARDED_ALLOW_IPS: whoever connects",
        environment("FORWARDED_ALLOW_IPS", "0.0.0.0/1,128.0.0.0/1"),
    ),
    row("believed_headers", "FORWARDED_ALLOW_IPS: whoever connects", environment("FORWARDED_ALLOW_IPS", "0::/0")),
    row("proxy_port", "airflow_config.api.port (on a): 8081 - the proxy asks another one", groups=PROXY,
        hosts={"a": config("api", "port", 8081)}),
    row("execution_api_url", "execution_api_server_url: 'nonsense' - give the execution API's URL",
        config("core", "execution_api_server_url", "nonsense")),
    row("execution_api_url", "execution_api_server_url: 'https://air.example.org' - give the execution API's URL",
        config("core", "execution_api_server_url", "https://air.example.org")),
    row("execution_api_url", "'http://localhost:8080/execution/' - no api-server runs on this host",
        {**BROKER, **config("core", "execution_api_server_url", "http://localhost:8080/execution/")}, CELERY),
    row("celery_options", "airflow_config.celery.pool: 'solo' - while such a worker runs a task",
        {**BROKER, **config("celery", "pool", "solo")}, CELERY),
    row("shared_options", "visibility_timeout (on w): 90000 - differs between hosts", BROKER, CELERY,
        hosts={"w": config("celery_broker_transport_options", "visibility_timeout", 90000)}),
    row("one_deployment", "airflow_drain_timeout (on b): 60 - differs between hosts", groups=TWO,
        hosts={"b": {"airflow_drain_timeout": 60}}),
    row("redis_config", "airflow_redis_config.slaveof", {"airflow_executor": "CeleryExecutor",
        "airflow_redis_config": {"slaveof": "h 1"}}, REDIS),
    row("proxy_reaches", "airflow_config.api.host (on a): '127.0.0.1' - the proxy can't reach it there",
        config("api", "host", "127.0.0.1"), PROXY),
    row("proxy_reaches", "airflow_config.api.base_url: 'http://air.example.org' - the proxy speaks TLS only",
        config("api", "base_url", "http://air.example.org"), PROXY),
    row("owned_option", "airflow_config.celery.worker_concurrency: is set by the collection; use airflow_worker_conc",
        config("celery", "worker_concurrency", 8)),
    row("remote_logs", "remote_base_log_folder: must be given, because remote_logging is on",
        config("logging", "remote_logging", True)),
    row("remote_logs", "remote_base_log_folder: 'ftp://x/logs' - is no store of logs; begin it with s3://",
        logs("ftp://x/logs")),
    row("remote_logs", "remote_base_log_folder: 'gs://x/logs' - needs apache-airflow-providers-google: add it to",
        logs("gs://x/logs")),
    row("environment", "airflow_environment.FOO BAR: is no name", environment("FOO BAR")),
    row("environment", "airflow_environment.1: is no name", environment(1)),
    row(
        "environment",
        "airflow_environment.AIRFLOW__CORE__FERNET_KEY: is an option of Airflow; use airflow_fernet_key",
        environment("AIRFLOW__CORE__FERNET_KEY"),
    ),
    row(
        "environment", "use airflow_config: {core: {parallelism: ...}}", environment("AIRFLOW__CORE__PARALLELISM", "4")
    ),
    row(
        "environment",
        "airflow_environment.PYTHONPATH: is set by the collection; use airflow_pythonpath",
        environment("PYTHONPATH"),
    ),
    row(
        "environment",
        "airflow_environment.AIRFLOW_IS_K8S_EXECUTOR_POD: is set by the collection; leave it out",
        environment("AIRFLOW_IS_K8S_EXECUTOR_POD", "1"),
    ),
    row("environment", "airflow_environment.DEBUG: must be a string: quote it", environment("DEBUG", True)),
    row("environment", "airflow_environment.X: has a control character", environment("X", "\x00")),
    # What users bring.
    row("dags_release", "airflow_dags_release: 'v1' - is no release", {"airflow_dags_release": "v1"}),
    row(
        "paused_and_unpaused",
        "airflow_dags_paused: a is in airflow_dags_unpaused too",
        {"airflow_dags_paused": ["a"], "airflow_dags_unpaused": ["a"]},
    ),
    row("paused_and_unpaused", "airflow_dags_paused[0]: 'a b' - is no DAG ID", {"airflow_dags_paused": ["a b"]}),
    row(
        "requirement",
        "airflow_requirements[0]: 'apache-airflow==2.10' - pins another Airflow",
        {"airflow_requirements": ["apache-airflow==2.10"]},
    ),
    row("requirement", "pins another Airflow", {"airflow_requirements": ["Apache_Airflow.Core[async]!=3.3.2"]}),
    row(
        "requirement", "pins another Airflow", {"airflow_requirements": ["apache-airflow @ https://example.org/a.whl"]}
    ),
    row(
        "requirement",
        "airflow_requirements[1]: 'sqlalchemy<2' - Airflow 3.3.2 has sqlalchemy 2",
        {"airflow_requirements": ["pandas", "sqlalchemy<2"]},
    ),
    row("requirement", "airflow_requirements[0]: 'pandas>' - is no requirement", {"airflow_requirements": ["pandas>"]}),
    row(
        "requirement",
        "airflow_requirements[0]: '-r more.txt' - is a line of a requirements file",
        {"airflow_requirements": ["-r more.txt"]},
    ),
    row(
        "system_package",
        "airflow_system_packages[0]: 'libpq5; rm -rf /'",
        {"airflow_system_packages": ["libpq5; rm -rf /"]},
    ),
    row(
        "resource",
        "airflow_pools[my_pool].slots: 'many' - must be a whole number",
        {"airflow_pools": [{"name": "my_pool", "slots": "many"}]},
    ),
    row(
        "resource",
        "airflow_pools[my_pool].slot: is no option; did you mean slots?",
        {"airflow_pools": [{"name": "my_pool", "slot": 3}]},
    ),
    row("resource", "airflow_pools[my_pool]: slots must be given", {"airflow_pools": [{"name": "my_pool"}]}),
    row("resource", "airflow_pools[my_pool]: slots must be -1", {"airflow_pools": [{"name": "my_pool", "slots": -2}]}),
    row("resource", "airflow_pools[0].name: must be given", {"airflow_pools": [{"slots": 2}]}),
    row(
        "resource",
        "airflow_pools[default_pool]: Airflow's own pool can be resized",
        {"airflow_pools": [{"name": "default_pool", "state": "absent"}]},
    ),
    row(
        "resource",
        "airflow_connections[my_pg].extra: must be a dictionary, not a string",
        {"airflow_connections": [{"connection_id": "my_pg", "conn_type": "postgres", "extra": '{"password": "x"}'}]},
    ),
    row(
        "resource",
        "airflow_connections[my_pg].passwort: is no option; did you mean password?",
        {"airflow_connections": [{"connection_id": "my_pg", "conn_type": "postgres", "passwort": "x"}]},
    ),
    row(
        "resource",
        "airflow_connections[my_pg]: password is or holds ***",
        {"airflow_connections": [{"connection_id": "my_pg", "conn_type": "postgres", "password": "***"}]},
    ),
    row("resource", "airflow_connections[c]: conn_type must be", {"airflow_connections": [{"connection_id": "c"}]}),
    row(
        "resource",
        "airflow_connections[c]: uri: Airflow can't read this URI",
        {"airflow_connections": [{"connection_id": "c", "uri": "h:pw"}]},
    ),
    row("resource", "airflow_variables[v]: value must be given", {"airflow_variables": [{"key": "v"}]}),
    row("short_secret", "airflow_fingerprint_key: has 5 characters", {"airflow_fingerprint_key": "short"}),
    row(
        "resource",
        "airflow_pools[p]: is declared twice",
        {"airflow_pools": [{"name": "p", "slots": 1}, {"name": "p", "slots": 2}]},
    ),
    row("account", "airflow_roles[r].permission: is no option", {"airflow_roles": [{"name": "r", "permission": []}]}),
    row("account", "airflow_roles[0].name: must be given", {"airflow_roles": [{"permissions": []}]}),
    row(
        "account",
        "airflow_roles[r].permissions[0].actions: 'can_read' - must be a list",
        {"airflow_roles": [{"name": "r", "permissions": [{"resource": "DAGs", "actions": "can_read"}]}]},
    ),
    row("account", "airflow_roles[Admin]: Airflow's own", {"airflow_roles": [{"name": "Admin", "state": "absent"}]}),
    row("account", "airflow_roles[r]: is declared twice", {"airflow_roles": [{"name": "r"}, {"name": "r"}]}),
    row("account", "airflow_users[eve]: is declared twice", {"airflow_users": [user(), user(username="eve")]}),
    row("account", "airflow_users[Eve]: password must be given", {"airflow_users": [user(password=None)]}),
    row("account", "airflow_users[Eve]: email must be given", {"airflow_users": [user(email=None)]}),
    row("account", "airflow_users[Eve]: password must not be empty", {"airflow_users": [user(password="")]}),
    row("account", "airflow_users[Eve]: a new user needs one role", {"airflow_users": [user(roles=[])]}),
    row("account", "airflow_users[Eve].update_password: 'never'", {"airflow_users": [user(update_password="never")]}),
    row("account", "airflow_users[Eve].password: must be a string", {"airflow_users": [user(password=8461037)]}),
    row("types", "airflow_users[0]: 'a' - must be a dictionary", {"airflow_users": ["a"]}),
    row("one_deployment", "airflow_users: differs", groups=TWO, hosts={"b": {"airflow_users": [user()]}}),
    row(
        "database_pools",
        "airflow_pgbouncer_config.max_db_connections (on b): 20 - the components need 35",
        {"airflow_pgbouncer_config": {"max_db_connections": 20}},
        POOLED,
    ),
    row(
        "database_pools",
        "airflow_pgbouncer_config.default_pool_size (on b): 10 - the components need 35: with fewer they wait for",
        {"airflow_pgbouncer_config": {"default_pool_size": 10}},
        POOLED,
    ),
]

REFUSED += [
    broker_says("airflow_broker_url: Redis' databases are numbers", "redis://:pw-of-the-broker@10.9.9.9:6379/abc"),
    broker_says("is no URL of a broker", "sentinel://:pw-of-it@10.9.9.9:26379;sentinel://:pw-of-it@10.9.9.8:port"),
    broker_says("is no URL of a broker", "sentinel://:pw-of-it@10.9.9.9:26379;"),
    broker_says("which must begin alike", "redis://:pw-of-it@10.9.9.9:6379;sentinel://:pw-of-it@10.9.9.8:26379"),
    broker_says("give it one, in each of the URLs", "sentinel://:pw-of-it@10.9.9.9:26379;sentinel://10.9.9.8:26379"),
    broker_says("each of several hosts", "amqp://a:pw-of-it@10.9.9.9//;amqp://a:pw-of-it@localhost//"),
    broker_says("its ssl_cert_reqs must be one of CERT_REQUIRED", "rediss://:pw-of-it@10.9.9.9/0?ssl_cert_reqs=NONE"),
    redis_says("is no setting that Redis is known to take here: (if your Redis has it, list", "nonsense", 1),
    redis_says("is no setting that Redis is known to take here: did you mean maxclients?", "maxclient", 1),
    redis_says("is no name of a Redis setting", "Maxclients", 1),
    redis_says("runs code of a file in the server", "loadmodule", "/tmp/x.so"),
    redis_says("'/tmp/x' - is set by the collection", "include", "/tmp/x"),
    redis_says("opens what its users are fenced from", "enable-debug-command", "yes"),
    redis_says("it has no replicas, so it would take no message", "min-replicas-to-write", 1),
    redis_says("'lots' - must be a number of bytes", "maxmemory", "lots"),
    redis_says("'1.5gb' - must be a number of bytes", "maxmemory", "1.5gb"),
    redis_says("True - must be a number of bytes", "maxmemory", True),
    redis_says("'101%x' - must be a number of bytes, or a per cent", "maxmemory-clients", "101%x"),
    redis_says("'maybe' - must be yes or no", "appendonly", "maybe"),
    redis_says("'many' - must be a whole number", "maxclients", "many"),
    redis_says("'sometimes' - must be always, everysec", "appendfsync", "sometimes"),
    redis_says("must be words without quotes", "save", ""),
    redis_says("'a\"b' - must be words without quotes", "syslog-ident", 'a"b'),
    pooler_says("is no setting that PgBouncer is known to take here: (if your PgBouncer has it, list", "nonsense", 1),
    pooler_says("is no setting that PgBouncer is known to take here: did you mean pkt_buf?", "pkt_bufs", 1),
    pooler_says("a scheduler or DAG processor whose transaction is cut off ends", "query_timeout", 1),
    pooler_says("only Airflow's users can come in, and a component could stop", "admin_users", "airflow"),
    pooler_says("'somebody' - is set by the collection", "stats_users", "somebody"),
    pooler_says("'soon' - must be a number of seconds", "server_lifetime", "soon"),
    pooler_says("'some' - must be a whole number", "min_pool_size", "some"),
    pooler_says("'verify-full' - must be disable, allow", "client_tls_sslmode", "verify-full"),
]

# (rule, what the warning says, ...): not refused, because somebody may know better.
WARNED = [
    row(
        "execution_api_url",
        "'https://a.example.org/execution/' - Airflow is below /team, by api.base_url, and so is this API: /team/exec",
        {"airflow_config": {"core": {"execution_api_server_url": "https://a.example.org/execution/"},
                            "api": {"base_url": "https://a.example.org/team/"}}},
    ),
    broker_says(
        "airflow_broker_url: several brokers by sentinel:// should work but was not run here",
        "sentinel://:pw-of-it@10.9.9.9:26379;sentinel://:pw-of-it@10.9.9.8:26379", master_name="airflow",
    ),
    broker_says("airflow_broker_url: any certificate would do", "rediss://:pw-of-it@10.9.9.9/0?ssl_cert_reqs=CERT_NONE"),
    broker_says("any certificate would do", "rediss://:pw-of-it@10.9.9.9/?ssl_cert_reqs=none&ssl_check_hostname=false"),
    row("unknown_option", "is gone from Airflow 3.3.2", config("webserver", "worker_class", "sync")),
    row(
        "unknown_option",
        "airflow_config.core.our_flag: is described neither by Airflow nor by its providers; if it is your own, list "
        "airflow_config.core.our_flag in airflow_ignore_variables",
        config("core", "our_flag", "x"),
    ),
    row(
        "unknown_variable", "airflow_team: is no variable of this collection and changes nothing", {"airflow_team": "x"}
    ),
    row(
        "unknown_group",
        "group airflow_prod_eu: is no group of this collection and places nothing",
        groups={**ONE, "airflow_prod_eu": ["a"]},
    ),
    row("stray_hosts", "group airflow: idle is in no group of a component, so nothing is deployed there, and what runs",
        groups={**ONE, "airflow": ["a", "idle"]}),
    row(
        "database_tls",
        "airflow_database_sslmode: 'disable' - the password and all data",
        {**EXTERNAL, "airflow_database_sslmode": "disable"},
        without("airflow_postgresql"),
    ),
    row(
        "broker_url",
        "airflow_broker_url: has no password",
        {**BROKER, "airflow_broker_url": "rediss://10.9.9.9:6379/0?ssl_certfile=/c&ssl_keyfile=/k"},
        CELERY,
    ),
    row(
        "broker_url",
        "airflow_broker_url: a broker by amqp:// should work but was not run here",
        {**BROKER, "airflow_broker_url": "amqp://airflow:pw-of-the-broker@10.9.9.9//"},
        CELERY,
    ),
    row(
        "two_brokers",
        "airflow_executor: 'LocalExecutor' - it sends no messages, so nobody needs group airflow_redis",
        groups={**ONE, "airflow_redis": ["a"]},
    ),
    row("two_brokers", "airflow_broker_password: nobody reads it", {"airflow_broker_password": "not-needed-at-all"}),
    row(
        "redis_config",
        "airflow_redis_config.appendonly: 'no' - what is queued is lost when Redis dies",
        {**OWN_BROKER, "airflow_redis_config": {"appendonly": False}},
        REDIS,
    ),
    row(
        "celery_options",
        "airflow_config.celery.task_acks_late: False - what a worker has taken is lost",
        {**BROKER, **config("celery", "task_acks_late", False)},
        CELERY,
    ),
    row("unread_settings", "airflow_redis_config: nobody reads it: group airflow_redis is empty",
        {"airflow_redis_config": {"maxmemory": "1gb"}}),
    row(
        "unshared_api_servers",
        "group airflow_api_server: tasks ask a alone, so another one does not help them: add a host to group airflow_p",
        groups={**TWO, "airflow_api_server": ["a", "b"]},
    ),
    row("remote_logs", "remote_base_log_folder: 's3://b/logs' - nothing is kept there: set airflow_config.logging",
        config("logging", "remote_base_log_folder", "s3://b/logs")),
    row("remote_logs_connection", "remote_log_conn_id: is not given, so each host must have rights",
        logs("s3://b/logs")),
    row("remote_logs_connection", "no such connection is declared, and without it no log is kept: give "
        "airflow_environment.AIRFLOW_CONN_LOG_STORE", logs("s3://b/logs", "log_store")),
    row(
        "database_address",
        "airflow_database_port: 6432 - is PgBouncer's usual port: name PostgreSQL itself",
        {**EXTERNAL, "airflow_database_port": 6432},
        without("airflow_postgresql"),
    ),
    row(
        "database_pools",
        "airflow_postgresql_config.max_connections: 100 - the components may take 125, and 20 are kept",
        {"airflow_postgresql_config": {"max_connections": 100}},
    ),
    row(
        "pooled_addresses",
        "airflow_address (on a): 'a.example.org' - is a name, and PgBouncer's rules take addresses only",
        groups=POOLED,
        hosts={"a": {"airflow_address": "a.example.org"}},
    ),
    row(
        "unsafe_option",
        "airflow_config.api.expose_config: 'non-sensitive-only' - shows settings",
        config("api", "expose_config", "non-sensitive-only"),
    ),
    row(
        "unsafe_option",
        "airflow_config.core.test_connection: lets users",
        config("core", "test_connection", "Enabled"),
    ),
]

ACCEPTED = [
    {"airflow_config": {"database": {"sql_alchemy_pool_size": 5}, "sentry": {"sentry_dsn_cmd": "cat /etc/dsn"}}},
    {"airflow_config": {"celery": {"extra_celery_config": '{"worker_max_tasks_per_child": 10}'}, "api": {"theme": ""}}},
    {"airflow_config": {"core": {"our_flag": 1}}, "airflow_ignore_variables": ["airflow_config.core.our_flag"]},
    {"airflow_config": {"celery_broker_transport_options": {"socket_keepalive": True}, "our_section": {"flag": 1}}},
    {},
    {
        "airflow_config": {
            "core": {"parallelism": 4},
            "logging": {"log_format": "%(message)s"},
            "api": {"base_url": "https://a.example.org/x"},
        }
    },
    {"airflow_fernet_key": f"{FERNET},{OTHER_FERNET}", "airflow_jwt_secret": LONG, "airflow_api_secret_key": LONGER},
    {"airflow_address": "a.example.org"},
    {"airflow_config": {"core": {"execution_api_server_url": "https://a.example.org/team/execution/"},
                        "api": {"base_url": "https://a.example.org/team"}}},
    {"airflow_admin_password": "correct horse battery staple"},
    {"airflow_database_password": f"{LONG},a", "airflow_results_database_password": f"{LONGER},a"},
    {"airflow_admin_password": "P@ssw0rd-0f-2-z3bras"},
    {"airflow_admin_password": "тринадцать лун"},
    {
        "airflow_requirements": [
            "apache-airflow==3.3.2",
            "apache-airflow-providers-http",
            "pandas>=2,<3",
            "x @ https://example.org/x.whl",
        ]
    },
    {"airflow_environment": {"TZ": "UTC", "OMP_NUM_THREADS": 1, "AIRFLOW_VAR_X": "multi\nline"}},
    {"airflow_drain_timeout": "30", "airflow_database_port": "5433"},
    {"airflow_pools": [{"name": "p", "slots": "-1", "state": "present"}, {"name": "gone", "state": "absent"}]},
    {
        "airflow_connections": [
            {"connection_id": "c", "uri": "postgresql://u:p@h/db", "description": "d"},
            {"connection_id": "d", "conn_type": "http", "port": "80", "extra": {"a": [1]}},
            {"connection_id": "gone", "state": "absent"},
        ],
        "airflow_variables": [
            {"key": "a", "src": "/on/the/operator/host"}, {"key": "b", "value": 0},
            {"key": "c", "value": date(2026, 1, 2)}, {"key": "d", "value": {"since": [date(2026, 1, 2)]}},
        ],
    },
    {"airflow_users": [user(), {"username": "gone", "state": "absent"}], "airflow_roles": [{"name": "r"}]},
    {"airflow_mine": 1, "airflow_ignore_variables": ["airflow_mine"]},
    {"airflow_proxy_environment": {"HTTPS_PROXY": "http://u:p@proxy:3128", "no_proxy": "localhost"}},
    {"airflow_dags_paused": ["a"], "airflow_dags_unpaused": ["b"], "airflow_dags_release": "0f" * 16},
    {"airflow_local_vm": {"forward": [{"host_port": 8080, "port": 8080}]}},
    {"airflow_config": {"fab": {"enable_proxy_fix": True}, "api": {"host": "10.0.0.10"}}},
]


@pytest.mark.parametrize("case", REFUSED, ids=lambda case: f"{case[0]}-{case[1][:40]}")
def test_refused(case: Row) -> None:
    rule, says, *declaration = case
    lines = [str(finding) for finding in declared(*declaration) if finding.rule == rule and not finding.warning]
    assert any(says in line for line in lines), lines


@pytest.mark.parametrize("case", WARNED, ids=lambda case: f"{case[0]}-{case[1][:40]}")
def test_warned(case: Row) -> None:
    rule, says, *declaration = case
    findings = declared(*declaration)
    assert [f for f in findings if not f.warning] == []
    assert [says in str(finding) for finding in findings if finding.rule == rule] == [True]


@pytest.mark.parametrize("variables", ACCEPTED, ids=",".join)
def test_accepted(variables: dict[str, Any]) -> None:
    assert [str(finding) for finding in declared(variables)] == []


def test_accepted_with_a_kind_cluster() -> None:
    whole = kind_node(
        labels={"example.org/tier": "Front-1"},
        port_mappings=[KIND_PORT, {**KIND_PORT, "protocol": "UDP"}],
        extra_mounts=[{"host_path": "/etc", "container_path": "/data", "read_only": True}],
    )
    variables = kind(registry_mirrors={"localhost:5000": ["http://a:5000"]}, feature_gates={"SomeGate": False})
    variables["airflow_kind_cluster"] |= whole["airflow_kind_cluster"]
    assert declared({**variables, **POD_EACH}, CLUSTER) == []


@pytest.mark.parametrize("variables", [
    {"airflow_executor": "CeleryExecutor", "airflow_worker_sets": [
        {"name": "default"}, {"name": "heavy", "queues": ["heavy", "default"], "replicas": 2}]},
    {**EXTERNAL, **POD_EACH, "airflow_database_sslmode": "verify-full"},  # the image has the authority
    {**POD_EACH, "airflow_image_pull_secrets": ["registry.example.org"],
     "airflow_secret_references": {"jwt_secret": {"name": "shared.v1", "key": "jwt"}}},
    {**EXTERNAL, **POD_EACH, "airflow_storage_access_mode": "ReadWriteMany", "airflow_storage_class": "shared"},
    {**POD_EACH, "airflow_chart_source": "oci://registry.example.org/charts", "airflow_node_port": 30080},
    {**POD_EACH, "airflow_image": f"registry.example.org:5000/team/airflow:3.3.2@sha256:{'0f' * 32}"},
    {**POD_EACH, **kind(), "airflow_image": f"registry.example.org:5000/team/airflow:3.3.2@sha256:{'0f' * 32}"},
    {**POD_EACH, **kind(), "airflow_image": "kind-loaded", "airflow_image_load": False},
    {**POD_EACH, **kind(), "airflow_image": "123456789012.dkr.ecr.eu-west-1.amazonaws.com/airflow:20261122080000",
     "airflow_image_aws_profile": "build", "airflow_image_registry_url": "https://mirror.example.org"},
    {**POD_EACH, **kind(), "airflow_image_repository": "127.0.0.1:5000/airflow", "airflow_image_dags": True,
     "airflow_dags": DAGS, "airflow_requirements": ["pandas"], "airflow_system_packages": ["git"],
     "airflow_image_registry_username": "pusher", "airflow_image_registry_password": LONG,
     "airflow_image_registry_url": "http://127.0.0.1:5000", "airflow_image_build_network": "host",
     "airflow_image_platform": "linux/arm64"},
    {**POD_EACH, "airflow_image_repository": "123456789012.dkr.ecr.eu-west-1.amazonaws.com/airflow",
     "airflow_image_tag": "20261122080000", "airflow_image_aws_role_arn": "arn:aws:iam::123456789012:role/push"},
    {**POD_EACH, "airflow_image": "example.org/airflow:1", "airflow_image_dags": True},
    {**POD_EACH, "airflow_replicas": {"scheduler": 2, "triggerer": 0}, "airflow_volume_sizes": {"logs": "20Gi"}},
    {**POD_EACH, "airflow_container_resources": {"scheduler": {"requests": {"cpu": "500m", "memory": "1.5Gi"}}}},
])
def test_accepted_in_a_cluster(variables: dict[str, Any]) -> None:
    assert [str(finding) for finding in declared(variables, CLUSTER)] == []


def test_authorities_are_for_the_build_of_an_image_and_its_registry(tmp_path: Path) -> None:
    (tmp_path / "ca.pem").write_text("-----BEGIN CERTIFICATE-----\n")
    bundle = {**POD_EACH, "airflow_ca_bundle": str(tmp_path / "ca.pem")}
    assert [finding.rule for finding in declared(bundle, CLUSTER)] == ["cluster_ca"]
    assert declared({**bundle, "airflow_image_repository": "example.org/airflow"}, CLUSTER) == []
    brought = {**bundle, **kind(), "airflow_image": "example.org/a:1"}
    assert declared(brought, CLUSTER) == []
    assert [finding.rule for finding in declared({**brought, "airflow_image_load": False}, CLUSTER)] == ["cluster_ca"]


def test_accepted_with_a_pooler() -> None:
    sizes = {"default_pool_size": 50, "server_idle_timeout": "60", "max_db_connections": 0}
    assert declared({"airflow_pgbouncer_config": sizes}, POOLED) == []
    assert declared({"airflow_pgbouncer_config": {"default_pool_size": 35, "max_client_conn": 145}}, POOLED) == []
    assert declared(EXTERNAL, without("airflow_postgresql", POOLED)) == []


def test_accepted_with_a_broker() -> None:
    patience = config("celery_broker_transport_options", "visibility_timeout", 7200)
    assert declared({**BROKER, **patience}, CELERY) == []
    assert declared({**OWN_BROKER, "airflow_redis_config": {"maxmemory": "1gb", "appendonly": True}}, REDIS) == []
    for end in ("", "/", "/7", "?ssl_cert_reqs=CERT_REQUIRED"):
        assert declared({**BROKER, "airflow_broker_url": f"rediss://:pw-of-it@10.9.9.9:6379{end}"}, CELERY) == []


def test_settings_that_redis_and_pgbouncer_have_are_accepted() -> None:
    given = {"appendfsync": False, "save": '""', "maxmemory": 1 << 30, "maxmemory-clients": "5%", "hz": 20,
             "slowlog-log-slower-than": -1, "client-output-buffer-limit": "pubsub 32mb 8mb 60", "nonsense": 1}
    known = {"airflow_redis_config": given, "airflow_ignore_variables": ["airflow_redis_config.nonsense"]}
    assert declared({**OWN_BROKER, **known}, REDIS) == []
    given = {"server_lifetime": 0.5, "log_connections": True, "client_tls_cert_file": "/c", "resolv_conf": ""}
    assert declared({"airflow_pgbouncer_config": given}, POOLED) == []
    used = {*services.REDIS.values(), *services.PGBOUNCER.values()}
    assert used == set(services.FORMS), "each form is some setting's"
    assert not {*services.REDIS} & {*services.REDIS_REFUSED} | {*services.PGBOUNCER} & {*services.PGBOUNCER_REFUSED}


def test_accepted_with_several_api_servers() -> None:
    two = {**TWO, "airflow_api_server": ["a", "b"]}
    assert declared(groups={**two, "airflow": ["a", "b", "p"], "airflow_proxy": ["p"]}) == []
    assert declared(config("core", "execution_api_server_url", "https://air.example.org/execution/"), two) == []


def test_accepted_with_remote_logs() -> None:
    kept = logs("s3://b/logs", "log_store")
    assert declared({**kept, **environment("AIRFLOW_CONN_LOG_STORE", "aws://")}) == []
    connection = {"connection_id": "log_store", "conn_type": "aws"}
    assert declared({**kept, "airflow_connections": [connection]}) == []
    google = {**logs("gs://b/logs", "log_store"), **environment("AIRFLOW_CONN_LOG_STORE", "google-cloud-platform://")}
    assert declared({**google, "airflow_requirements": ["apache_airflow_providers_google"]}) == []
    elsewhere = {"logging": {"remote_logging": True}, "elasticsearch": {"host": "http://logs:9200"}}
    assert declared({"airflow_config": elsewhere}) == []


def test_accepted_with_celery_and_an_existing_server() -> None:
    results = {"airflow_results_database_password": "given-too"}
    assert declared({**EXTERNAL, **BROKER, **results}, without("airflow_postgresql", CELERY)) == []


@pytest.mark.parametrize(
    ("variable", "make", "says"),
    [
        ("airflow_dags", lambda at: at / "none", "there is no such directory"),
        ("airflow_dags", lambda at: at / "file.py", "is no directory"),
        ("airflow_plugins", lambda at: at / "none", "there is no such directory"),
        ("airflow_pythonpath", lambda at: at / "file.py", "is no directory"),
        ("airflow_webserver_config", lambda at: at / "dags", "is no file"),
        ("airflow_ca_bundle", lambda at: at / "none", "there is no such file"),
        ("airflow_proxy_certificate", lambda at: at / "none", "there is no such file"),
        ("airflow_dags", lambda at: Path("dags"), "must be absolute"),
        ("airflow_webserver_config", lambda at: at / "bad.py", "is no Python: line 2"),
        ("airflow_webserver_config", lambda at: at / "nul.py", "is no Python"),
        ("airflow_ca_bundle", lambda at: at / "file.py", "has no certificate"),
        ("airflow_ca_bundle", lambda at: at / "key.pem", "has a private key"),
    ],
)
def test_refused_on_the_controller(tmp_path: Path, variable: str, make: Any, says: str) -> None:
    (tmp_path / "dags").mkdir()
    (tmp_path / "file.py").write_text("x = 1\n")
    (tmp_path / "bad.py").write_text("x = 1\nx = = 2\n")
    (tmp_path / "nul.py").write_bytes(b"x\0")
    (tmp_path / "key.pem").write_text("-----BEGIN CERTIFICATE-----\n-----BEGIN RSA PRIVATE KEY-----\n")
    value = str(make(tmp_path))
    lines = [str(finding) for finding in declared({variable: value})]
    assert len(lines) == 1 and lines[0].startswith(f"{variable}: '") and says in lines[0], lines


def test_directories_are_apart(tmp_path: Path) -> None:
    (tmp_path / "dags" / "plugins").mkdir(parents=True)
    (tmp_path / "dags" / "dag.py").touch()
    lines = declared({"airflow_dags": str(tmp_path / "dags"), "airflow_plugins": str(tmp_path / "dags" / "plugins")})
    assert [f"{f.variable} {f.rule}" for f in lines] == ["airflow_plugins nested"]
    same = declared({"airflow_dags": str(tmp_path / "dags"), "airflow_pythonpath": str(tmp_path / "dags")})
    assert [f"{f.variable} {f.rule}" for f in same] == ["airflow_pythonpath nested"]


@pytest.mark.parametrize("variable", ["airflow_pythonpath", "airflow_plugins"])
@pytest.mark.parametrize("module", ["airflow_local_settings.py", "airflow_local_settings/__init__.py"])
def test_policies_that_would_be_the_collections(tmp_path: Path, variable: str, module: str) -> None:
    built = {**POD_EACH, "airflow_image_repository": "registry.example.org/airflow", variable: str(tmp_path)}
    before = {str(finding) for finding in declared(built, CLUSTER)}
    (tmp_path / module).parent.mkdir(exist_ok=True)
    (tmp_path / module).touch()
    (line,) = {str(finding) for finding in declared(built, CLUSTER)} - before
    assert line.startswith(f"{variable}: '") and "entry point airflow.policy" in line
    elsewhere = {**built, "airflow_executor": "CeleryExecutor"}
    assert not [one for one in declared(elsewhere, CLUSTER) if one.rule == "local_settings"]


def test_dags_warnings(tmp_path: Path) -> None:
    tmp_path.chmod(0o777)
    lines = declared({"airflow_dags": str(tmp_path)})
    assert [(f.rule, f.warning) for f in lines] == [("dags", True), ("dags", True)]


def test_every_rule_has_a_row() -> None:
    """A rule that no row makes speak is not tested. Those about files have tests of their own above."""
    here = {case[0] for case in REFUSED + WARNED} | {
        "local_path",
        "local_settings",
        "nested",
        "dags",
        "webserver_config",
        "ca_bundle",
        "proxy_certificate",
        "proxy_without_host",
        "types",
    }
    assert {rule.__name__ for rule in registry.HOST_RULES + registry.DEPLOYMENT_RULES} | {"types"} == here
