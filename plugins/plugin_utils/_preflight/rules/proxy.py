# Copyright: (c) 2026, Windward contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)

"""Private to this collection. The proxy before the api-servers: its certificate, and whom the api-servers believe."""

from __future__ import annotations

import ipaddress
import os
import re
import ssl
import time
from collections.abc import Iterator
from pathlib import Path

from ..._ports import ANY, ANY6, is_on
from ..deployment import Deployment, Finding, Host
from ..registry import each_host, whole
from .hosts import is_url, reached_at

CERTIFICATE = re.compile(rb"-----BEGIN CERTIFICATE-----.+?-----END CERTIFICATE-----", re.DOTALL)
# OpenSSL's numbers for why a client refuses a certificate (X509_V_ERR_*).
REFUSALS = {
    9: "is not valid yet",
    10: "has expired",
    62: "is for other names than {name}: the hosts reach the proxy there (its airflow_address)",
    64: "is for other names than {name}: the hosts reach the proxy there (its airflow_address)",
}
SOON_DAYS = 30


@each_host
def proxy_certificate(host: Host) -> Iterator[Finding]:
    """`airflow_proxy_certificate` holds a key and its certificate, as clients of the proxy take it."""
    value = host["airflow_proxy_certificate"]
    if not value or not os.path.isfile(value) or not os.access(value, os.R_OK):
        return
    if host.name not in host.deployment.members("airflow_proxy"):
        return
    with host.deployment.real_file(value) as path:
        if not path:
            yield host.refuse("airflow_proxy_certificate", "can't be decrypted: give the right vault password")
            return
        problem, days = judged(path, reached_at(host))
    if problem:
        yield host.refuse("airflow_proxy_certificate", problem)
    elif days < SOON_DAYS:
        yield host.warn("airflow_proxy_certificate", f"expires in {days:.0f} days: give its successor")


@whole
def proxy_without_host(deployment: Deployment) -> Iterator[Finding]:
    """A certificate has a proxy that shows it."""
    if not deployment.members("airflow_proxy"):
        yield from (
            host.warn("airflow_proxy_certificate", "there is no proxy to show it: add a host to group airflow_proxy")
            for host in deployment.targets
            if os.path.isfile(host["airflow_proxy_certificate"])
        )


@each_host
def proxy_ends_tls(host: Host) -> Iterator[Finding]:
    """With a proxy, TLS ends there: the api-servers behind it have none of their own."""
    for option in ("ssl_cert", "ssl_key"):
        if host.deployment.members("airflow_proxy") and host.option("api", option):
            yield host.refuse(
                f"airflow_config.api.{option}",
                "the proxy asks the api-servers over plain HTTP: leave it out, airflow_proxy_certificate is for "
                "clients, and api.ssl_ca_file for an authority of yours that tasks are to trust",
                host.option("api", option),
            )


@each_host
def believed_headers(host: Host) -> Iterator[Finding]:
    """Only a proxy may say for whom it asks: nobody else who reaches an api-server is believed."""
    if not host.runs("api-server"):
        return
    path, proxy = "airflow_config.fab.enable_proxy_fix", host.deployment.members("airflow_proxy")
    value = host.option("fab", "enable_proxy_fix", False)
    if is_on(value) and host.option("api", "host", ANY) in (ANY, ANY6):
        use = "leave it out, the api-servers believe the proxy without it" if proxy else (
            "there is no proxy; for one of yours, bind airflow_config.api.host to the address where it comes in")
        yield host.refuse(path, f"whoever connects could say that he is somebody else: {use}", value)
    believed = str(host["airflow_environment"].get("FORWARDED_ALLOW_IPS", ""))
    if any(_is_everybody(one.strip()) for one in believed.split(",")):
        path = "airflow_environment.FORWARDED_ALLOW_IPS"
        yield host.refuse(
            path, "whoever connects could say that he is somebody else: name the proxy's addresses", believed
        )


def _is_everybody(believed: str) -> bool:
    """Whether so many addresses are meant that they are no proxy's."""
    try:
        return ipaddress.ip_network(believed, strict=False).prefixlen < 8
    except ValueError:
        return believed == "*"


@whole
def proxy_port(deployment: Deployment) -> Iterator[Finding]:
    """The proxy asks every api-server on one port, the one that is set for its own host."""
    asked = [host for host in deployment.targets if host.name in deployment.members("airflow_proxy")]
    for host in deployment.targets:
        port = host.option("api", "port", 8080)
        if asked and host.runs("api-server") and str(port) != str(asked[0].option("api", "port", 8080)):
            problem = "the proxy asks another one: set it once, for group airflow"
            yield host.refuse("airflow_config.api.port", problem, port)


@each_host
def proxy_reaches(host: Host) -> Iterator[Finding]:
    """An api-server behind a proxy listens where the proxy can reach it, and browsers come to it by TLS."""
    proxies = host.deployment.members("airflow_proxy")
    place = host.option("api", "host", ANY)
    if proxies and host.runs("api-server") and place in ("127.0.0.1", "::1", "localhost"):
        yield host.refuse("airflow_config.api.host", "the proxy can't reach it there: leave it out", place)
    url = host.option("api", "base_url", "")
    if proxies and isinstance(url, str) and is_url(url, ("http",)):
        yield host.refuse("airflow_config.api.base_url", "the proxy speaks TLS only: begin it with https://", url)


def judged(path: str, name: str) -> tuple[str, float]:
    """What is wrong with the file, or for how many days a client that looks for `name` takes its certificate.

    A handshake with ourselves, in memory, is judged by what will judge the proxy: OpenSSL.
    """
    text = Path(path).read_bytes()
    leaf = CERTIFICATE.search(text)
    if not leaf:
        return "has no certificate in it: PEM is needed, with the key and the chain", 0
    if b"PRIVATE KEY-----" not in text:
        return "has no private key in it: PEM is needed, with the certificate and the chain", 0
    if b"ENCRYPTED" in text:
        return "its key asks for a passphrase, which nobody gives at a start: decrypt it, and the file by Vault", 0
    server = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    try:
        server.load_cert_chain(path)
    except ssl.SSLError as error:
        fits = error.reason != "KEY_VALUES_MISMATCH"
        return ("can't be read as PEM" if fits else "its first certificate is for another key than it has"), 0
    client = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    client.verify_flags |= ssl.VERIFY_X509_PARTIAL_CHAIN  # who signed it is not asked here
    try:
        client.load_verify_locations(cadata=leaf[0].decode("ascii"))
        shown = _shake_hands(server, client, name)
    except ssl.SSLCertVerificationError as error:
        return REFUSALS.get(error.verify_code, f"clients refuse it: {error.verify_message}").format(name=name), 0
    except (ssl.SSLError, ValueError) as error:
        return f"clients refuse it: {getattr(error, 'reason', None) or error}", 0
    return "", (ssl.cert_time_to_seconds(shown) - time.time()) / 86400


def _shake_hands(server: ssl.SSLContext, client: ssl.SSLContext, name: str) -> str:
    """When the certificate ends that `server` shows to `client`."""
    to_server, to_client = ssl.MemoryBIO(), ssl.MemoryBIO()
    asking = client.wrap_bio(to_client, to_server, server_hostname=name)
    answering = server.wrap_bio(to_server, to_client, server_side=True)
    waiting = [asking, answering]
    for _turn in range(10):
        for end in list(waiting):
            try:
                end.do_handshake()
                waiting.remove(end)
            except ssl.SSLWantReadError:
                continue
    return str((asking.getpeercert() or {})["notAfter"])
