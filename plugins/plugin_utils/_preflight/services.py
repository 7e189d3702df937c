# Copyright: (c) 2026, Windward contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)

"""Private to this collection. The settings of Redis and PgBouncer that users may give, by the form of their values.

Neither can check a configuration without running it, and with a wrong one neither starts. The names are those that
Debian 12's Redis 7.0 (`CONFIG GET *`) and PgBouncer 1.18 know, without what one broker or one pooler has no use for.
"""

from __future__ import annotations

# What a value of each form is, and what a message says of it.
FORMS = {
    "flag": (r"yes|no", "must be yes or no"),
    "number": (r"-?[0-9]{1,18}", "must be a whole number"),
    "seconds": (r"[0-9]{1,9}(\.[0-9]+)?", "must be a number of seconds"),
    "memory": (r"(?i:[0-9]{1,18}([kmg]b?|b)?)", "must be a number of bytes, with kb, mb or gb behind it if you like"),
    "share": (r"(?i:[0-9]{1,18}([kmg]b?|b)?)|[0-9]{1,2}%", "must be a number of bytes, or a per cent of maxmemory"),
    "fsync": (r"always|everysec|no", "must be always, everysec or no"),
    "loglevel": (r"debug|verbose|notice|warning", "must be debug, verbose, notice or warning"),
    # Without a certificate of the client's own: components have none.
    "tls": (r"disable|allow|prefer|require", "must be disable, allow, prefer or require"),
    # Redis ends when it can't pair quotes, or finds nothing behind a name.
    "words": (r"\"[^\"\\]*\"|[^\"'\\]+", 'must be words without quotes or backslashes, or "" for none'),
    "text": (r".*", ""),
}


def _named(**forms: str) -> dict[str, str]:
    return {name: form for form, names in forms.items() for name in names.split()}


REDIS = _named(
    flag="""
        activedefrag activerehashing aof-load-truncated aof-rewrite-incremental-fsync aof-timestamp-enabled
        aof-use-rdb-preamble appendonly crash-log-enabled crash-memcheck-enabled disable-thp dynamic-hz
        io-threads-do-reads jemalloc-bg-thread latency-tracking lazyfree-lazy-eviction lazyfree-lazy-expire
        lazyfree-lazy-server-del lazyfree-lazy-user-del lazyfree-lazy-user-flush no-appendfsync-on-rewrite
        rdb-save-incremental-fsync rdbchecksum rdbcompression set-proc-title stop-writes-on-bgsave-error syslog-enabled
    """,
    number="""
        acllog-max-len active-defrag-cycle-max active-defrag-cycle-min active-defrag-max-scan-fields
        active-defrag-threshold-lower active-defrag-threshold-upper active-expire-effort auto-aof-rewrite-percentage
        busy-reply-threshold databases hash-max-listpack-entries hash-max-listpack-value hz io-threads
        latency-monitor-threshold list-compress-depth list-max-listpack-size lua-time-limit maxclients
        maxmemory-eviction-tenacity maxmemory-samples set-max-intset-entries shutdown-timeout slowlog-log-slower-than
        slowlog-max-len stream-node-max-entries tcp-backlog tcp-keepalive timeout tracking-table-max-keys
        zset-max-listpack-entries zset-max-listpack-value
    """,
    memory="""
        active-defrag-ignore-bytes auto-aof-rewrite-min-size client-query-buffer-limit hll-sparse-max-bytes maxmemory
        proto-max-bulk-len stream-node-max-bytes
    """,
    share="maxmemory-clients",
    fsync="appendfsync",
    loglevel="loglevel",
    words="""
        aof_rewrite_cpulist bgsave_cpulist bio_cpulist client-output-buffer-limit ignore-warnings
        latency-tracking-info-percentiles maxmemory-policy notify-keyspace-events oom-score-adj oom-score-adj-values
        save server_cpulist syslog-facility syslog-ident
    """,
)
REDIS_REFUSED = {
    "loadmodule": "runs code of a file in the server, which holds tokens of tasks: leave it out",
    **dict.fromkeys(
        ("enable-debug-command", "enable-module-command", "enable-protected-configs"),
        "opens what its users are fenced from: leave it out",
    ),
    **dict.fromkeys(("acl-pubsub-default", "masterauth", "masteruser"), "is for other users than Redis has here"),
    **dict.fromkeys(
        ("min-replicas-to-write", "min-slaves-to-write"),
        "it has no replicas, so it would take no message: leave it out",
    ),
    **dict.fromkeys(
        ("tls-cert-file", "tls-key-file", "tls-ca-cert-file", "tls-auth-clients"),
        "our Redis has no TLS: leave it out, or name an existing broker by airflow_broker_url",
    ),
}
PGBOUNCER = _named(
    number="""
        application_name_add_host default_pool_size listen_backlog log_connections log_disconnections log_pooler_errors
        log_stats max_client_conn max_db_connections max_packet_size max_user_connections min_pool_size pkt_buf
        reserve_pool_size sbuf_loopcnt server_fast_close server_reset_query_always server_round_robin so_reuseport
        stats_period syslog tcp_defer_accept tcp_keepalive tcp_keepcnt tcp_keepidle tcp_keepintvl tcp_socket_buffer
        tcp_user_timeout verbose
    """,
    seconds="""
        client_login_timeout dns_max_ttl dns_nxdomain_ttl dns_zone_check_period query_wait_timeout reserve_pool_timeout
        server_check_delay server_connect_timeout server_idle_timeout server_lifetime server_login_retry suspend_timeout
    """,
    tls="client_tls_sslmode",
    text="""
        client_tls_ca_file client_tls_cert_file client_tls_ciphers client_tls_dheparams client_tls_ecdhcurve
        client_tls_key_file client_tls_protocols ignore_startup_parameters job_name resolv_conf server_check_query
        server_reset_query server_tls_cert_file server_tls_ciphers server_tls_key_file server_tls_protocols
        syslog_facility syslog_ident
    """,
)
PGBOUNCER_REFUSED = {
    "admin_users": "only Airflow's users can come in, and a component could stop the pooler then: leave it out",
    "disable_pqexec": "Airflow's driver sends its queries that way: leave it out",
    "client_idle_timeout": "Airflow keeps connections that are idle, and would find them closed: leave it out",
    **dict.fromkeys(
        ("query_timeout", "idle_transaction_timeout"),
        "a scheduler or DAG processor whose transaction is cut off ends: leave it out",
    ),
}
