# Copyright: (c) 2026, Windward contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)

# Private to this collection: it may change without notice.

"""Whether a component of this host reaches what its tasks need: asked where, how and as whom it would ask itself."""

from __future__ import annotations

import configparser
import os
import re
import socket
from typing import Any
from urllib.parse import urlsplit

from . import _redis, _release
from ._components import runs_tasks

TIMEOUT = 5.0
PORTS = {"sentinel": 26379, "amqp": 5672, "amqps": 5671}  # of brokers whose protocol is not spoken here
TRUST = ("ssl_ca_file", "ssl_cert", "client_use_public_certs", "client_ssl_cert", "client_ssl_key")

# Trusts whom Airflow's own client of the execution API trusts, and goes through the same proxies of the environment.
ASK = """
import http.client, json, ssl, sys, urllib.error, urllib.request
request = json.load(sys.stdin)
trust, problem = request["trust"], ""
try:
    context = ssl.create_default_context(cafile=trust["ssl_ca_file"] or None)
    if trust["client_use_public_certs"].lower() not in ("false", "f", "0"):
        import certifi
        context.load_verify_locations(certifi.where())
    if trust["ssl_cert"]:
        context.load_verify_locations(trust["ssl_cert"])
    if trust["client_ssl_cert"]:
        context.load_cert_chain(trust["client_ssl_cert"], trust["client_ssl_key"] or None)
    opener = urllib.request.build_opener(urllib.request.HTTPSHandler(context=context))
    opener.open(request["url"], timeout=request["timeout"]).close()
except urllib.error.HTTPError as error:
    problem = f"it answers with status {error.code}"
except (OSError, http.client.HTTPException) as error:
    why = getattr(error, "reason", error)
    late = isinstance(why, TimeoutError)
    problem = "it does not answer this host within {timeout:.0f} s".format(**request) if late else str(why)
json.dump(problem, open(int(sys.argv[1]), "w"))
"""


def unreached(component: str, release: str, config_dir: str, user: str | None) -> dict[str, str]:
    """Return what a component can't reach from here, and why. One that is not set up yet is asked for nothing."""
    try:
        variables = _release.environment({"release": release, "config_dir": config_dir}, component)
    except FileNotFoundError:
        return {}
    config = configparser.RawConfigParser()
    config.read(os.path.join(config_dir, "airflow.cfg"), encoding="utf-8")

    def setting(section: str, option: str) -> str:
        written = config.get(section, option, fallback="").replace("%%", "%")
        return variables.get(f"AIRFLOW__{section}__{option}".upper(), written)

    found = {}
    url = setting("celery", "broker_url")
    if url:
        # Of several, each of which is a broker of its own, Celery takes one that answers.
        said = {place(one): broker(one) for one in re.split(r";(?=\w+://)", url)}
        found["the broker at {}".format(" or ".join(said))] = "" if "" in said.values() else "; ".join(said.values())
    url = setting("core", "execution_api_server_url")
    if url and runs_tasks(component, setting("core", "executor")):
        trust = {option: setting("api", option) for option in TRUST}
        found[f"the execution API at {place(url)}"] = execution_api(url, trust, release, user, variables)
    return {what: problem for what, problem in found.items() if problem}


def place(url: str) -> str:
    """Return where a URL leads, without a user or a password."""
    return urlsplit(url).netloc.rpartition("@")[2]


def broker(url: str) -> str:
    """Return what is in the way to a broker, or nothing."""
    parts = urlsplit(url)
    if parts.scheme not in PORTS:
        problem: str = _redis.look(url)["problem"]
        return problem
    try:
        socket.create_connection((parts.hostname, parts.port or PORTS[parts.scheme]), TIMEOUT).close()
    except OSError as error:
        return f"this host can't connect to it ({error.strerror or error})"
    return ""


def execution_api(
    url: str, trust: dict[str, str], release: str, user: str | None, variables: dict[str, str]
) -> str:
    """Return what is in the way to the execution API, or nothing."""
    page = urlsplit(url)._replace(netloc=place(url)).geturl().rstrip("/") + "/health"
    request: dict[str, Any] = {"url": page, "timeout": TIMEOUT, "trust": trust}
    try:
        problem: str = _release.run(ASK, release, user, variables, request, timeout=30)
    except _release.ReleaseError as error:
        return str(error).strip().splitlines()[-1]
    except (OSError, KeyError):
        return ""  # no release or no user: the components say so by themselves
    return problem
