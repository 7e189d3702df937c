# Copyright: (c) 2026, Windward contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""The certificate that a user gives for the proxy, as clients would judge it."""

from __future__ import annotations

import datetime
from collections.abc import Callable
from pathlib import Path

import pytest
from ansible.constants import DEFAULT_VAULT_IDENTITY
from ansible.parsing.dataloader import DataLoader
from ansible.parsing.vault import VaultLib, VaultSecret
from ansible_collections.windward.airflow.plugins.modules import server_certificate as made
from ansible_collections.windward.airflow.plugins.plugin_utils._preflight import ansible, engine
from cryptography.hazmat.primitives import serialization
from preflight_case import CONTRACT, ONE, PROXY, declared, given

NAME = "10.0.0.11"  # of host p in these tests
DAY = datetime.timedelta(days=1)


def pair(*names: str, days: float = 90) -> tuple[object, object]:
    key = made.ec.generate_private_key(made.ec.SECP256R1())
    made.LASTS["server"], kept = days * DAY, made.LASTS["server"]
    try:
        return key, made.make("server", "x", key, None, list(names or [NAME]))
    finally:
        made.LASTS["server"] = kept


def text(key: object, certificate: object) -> str:
    return made.with_key(key, certificate)


def with_passphrase() -> str:
    key, certificate = pair()
    sealed = key.private_bytes(  # type: ignore[attr-defined]
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.BestAvailableEncryption(b"x")
    )
    return sealed.decode() + made.pem(certificate)


def of_an_authority() -> str:
    key, other = pair()[0], made.ec.generate_private_key(made.ec.SECP256R1())
    issuer = other, made.make("authority", "y", other, None, [])
    return text(key, made.make("server", "x", key, issuer, [NAME, "air.example.org"])) + made.pem(issuer[1])


CASES: list[tuple[str, Callable[[], str]]] = [
    ("", lambda: text(*pair())),
    ("", of_an_authority),
    ("has no certificate in it", lambda: text(*pair()).partition("-----BEGIN CERT")[0]),
    ("has no certificate in it", lambda: "hello\n"),
    ("has no private key in it", lambda: made.pem(pair()[1])),
    ("its first certificate is for another key", lambda: text(pair()[0], pair()[1])),
    ("its key asks for a passphrase", with_passphrase),
    ("can't be read as PEM", lambda: text(*pair()).replace("PRIVATE KEY-----\nM", "PRIVATE KEY-----\nQ")),
    ("has expired", lambda: text(*pair(days=-0.5))),
    ("is for other names than 10.0.0.11", lambda: text(*pair("air.example.org"))),
    ("is for other names than 10.0.0.11", lambda: text(*pair("10.0.0.12"))),
    ("expires in 10 days", lambda: text(*pair(days=10.4))),
]


@pytest.mark.parametrize(("says", "make"), CASES, ids=[f"{i}-{case[0]}" for i, case in enumerate(CASES)])
def test_the_certificate(says: str, make: Callable[[], str], tmp_path: Path) -> None:
    path = tmp_path / "proxy.pem"
    path.write_text(make())
    lines = [str(finding) for finding in declared({"airflow_proxy_certificate": str(path)}, PROXY)]
    if not says:
        assert lines == []
    else:
        assert len(lines) == 1 and lines[0].startswith("airflow_proxy_certificate (on p): ") and says in lines[0]
        assert "PRIVATE" not in lines[0]


def test_the_name_is_where_the_hosts_reach_the_proxy(tmp_path: Path) -> None:
    path = tmp_path / "proxy.pem"
    path.write_text(text(*pair("air.example.org")))
    variables = {"airflow_proxy_certificate": str(path)}
    assert declared(variables, PROXY, {"p": {"airflow_address": "air.example.org"}}) == []


def test_a_certificate_without_a_proxy_is_warned_about(tmp_path: Path) -> None:
    path = tmp_path / "proxy.pem"
    path.write_text(text(*pair()))
    found = declared({"airflow_proxy_certificate": str(path)}, ONE)
    assert [(one.rule, one.warning) for one in found] == [("proxy_without_host", True)]


@pytest.mark.parametrize(("password", "says"), [(b"right", ""), (b"wrong", "can't be decrypted"), (b"", "can't be de")])
def test_a_file_that_vault_encrypted_is_judged_and_leaves_nothing_behind(
    password: bytes, says: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path, scratch = tmp_path / "proxy.pem", tmp_path / "scratch"
    scratch.mkdir()
    monkeypatch.setattr("ansible.constants.DEFAULT_LOCAL_TMP", str(scratch))
    sealed = VaultLib([(DEFAULT_VAULT_IDENTITY, VaultSecret(b"right"))]).encrypt(text(*pair()))
    path.write_bytes(sealed)
    loader = DataLoader()
    if password:
        loader.set_vault_secrets([(DEFAULT_VAULT_IDENTITY, VaultSecret(password))])
    seen = []

    def real_file(name: str):  # type: ignore[no-untyped-def]
        seen.append(len(list(scratch.iterdir())))
        return ansible.decrypted(loader, name)

    variables = {"airflow_proxy_certificate": str(path)}
    lines = [str(one) for one in engine.declared(CONTRACT, PROXY, given(variables, PROXY, {}), real_file)]
    assert ([says in line for line in lines] == [True]) if says else lines == []
    assert seen == [0] and list(scratch.iterdir()) == []
