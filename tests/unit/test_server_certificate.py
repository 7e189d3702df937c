# Copyright: (c) 2026, Windward contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""A certificate of an authority of its own: made once, kept, made anew when it must."""

from __future__ import annotations

import datetime
import grp
import json
import os
import socket
import ssl
import stat
import threading
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.windward.airflow.plugins.modules import server_certificate
from test_modules_host import run

GROUP = grp.getgrgid(os.getegid()).gr_name
FILES = ("authority.pem", "ca.pem", "server.pem")


def made(directory: Path, *names: str, check: bool = False) -> dict[str, Any]:
    result = run("server_certificate", check=check, directory=str(directory), names=list(names or ["localhost"]),
                 title="Airflow", group=GROUP)
    assert "PRIVATE KEY" not in json.dumps(result)
    return result


def texts(directory: Path) -> dict[str, str]:
    return {name: (directory / name).read_text() for name in FILES}


def shaken(directory: Path, name: str) -> dict[str, Any]:
    """What a client that trusts the authority, and demands all that OpenSSL knows to demand, is shown by a server."""
    server = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    server.load_cert_chain(directory / "server.pem")
    client = ssl.create_default_context(cafile=directory / "ca.pem")
    client.verify_flags |= ssl.VERIFY_X509_STRICT
    here, there = socket.socketpair()

    def serve() -> None:
        try:
            with server.wrap_socket(there, server_side=True) as served:
                served.recv(1)
        except OSError:
            there.close()

    thread = threading.Thread(target=serve)
    thread.start()
    try:
        with client.wrap_socket(here, server_hostname=name) as connected:
            shown = connected.getpeercert()
            connected.send(b"x")
            return shown or {}
    finally:
        here.close()
        thread.join()


def test_it_is_made_once_and_clients_trust_it(tmp_path: Path) -> None:
    checked = made(tmp_path, check=True)
    assert checked["changed"] and checked["fingerprint"] == "" and not list(tmp_path.iterdir())
    first = made(tmp_path, "localhost", "10.0.0.5", "fd00::5")
    assert first["changed"] and first["ca"] == (tmp_path / "ca.pem").read_text()
    assert {name: stat.S_IMODE((tmp_path / name).stat().st_mode) for name in FILES} == dict(
        zip(FILES, (0o600, 0o644, 0o640), strict=True)
    )
    for name in ("localhost", "10.0.0.5", "fd00::5"):
        shaken(tmp_path, name)
    with pytest.raises(ssl.SSLCertVerificationError):
        shaken(tmp_path, "10.0.0.6")
    before = texts(tmp_path)
    again = made(tmp_path, "10.0.0.5", "fd00::5", "localhost")
    assert not again["changed"] and again["fingerprint"] == first["fingerprint"] and texts(tmp_path) == before


def test_other_names_are_another_certificate_of_the_same_authority(tmp_path: Path) -> None:
    first = made(tmp_path)
    before = texts(tmp_path)
    checked = made(tmp_path, "other", check=True)
    assert checked["changed"] and checked["ca"] == first["ca"] and texts(tmp_path) == before
    other = made(tmp_path, "other")
    assert other["fingerprint"] != first["fingerprint"] and other["ca"] == first["ca"]
    shaken(tmp_path, "other")


def test_a_run_that_was_killed_is_completed(tmp_path: Path) -> None:
    made(tmp_path)
    (tmp_path / "ca.pem").unlink()
    (tmp_path / "server.pem").chmod(0o600)
    assert made(tmp_path)["changed"]
    shaken(tmp_path, "localhost")
    assert stat.S_IMODE((tmp_path / "server.pem").stat().st_mode) == 0o640
    # Another authority, whose server's certificate was not written any more.
    (tmp_path / "authority.pem").unlink()
    assert made(tmp_path)["changed"]
    shaken(tmp_path, "localhost")
    (tmp_path / "server.pem").write_text("half of")
    assert made(tmp_path)["changed"]
    shaken(tmp_path, "localhost")
    assert not made(tmp_path)["changed"]


@pytest.mark.parametrize(("kind", "file"), [("server", "server.pem"), ("authority", "authority.pem")])
def test_it_is_renewed_before_it_ends(
    kind: str, file: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    day = datetime.timedelta(days=1)
    key = server_certificate.ec.generate_private_key(server_certificate.ec.SECP256R1())
    found = {}
    for left in (1, -1):
        monkeypatch.setitem(server_certificate.LASTS, kind, server_certificate.RENEWED[kind] + left * day)
        found[left] = key, server_certificate.make(kind, "a", key, None, ["a"])
    reason = {
        "server": lambda pair: server_certificate.why_not_server(pair, (key, None), ["a"]),
        "authority": server_certificate.why_not_authority,
    }[kind]
    assert (reason(found[1]), reason(found[-1])) == ("", "it is about to expire")
    (tmp_path / file).write_text(server_certificate.with_key(*found[-1]))
    assert made(tmp_path)["changed"]
    assert not made(tmp_path)["changed"]
