#!/usr/bin/python
# Copyright: (c) 2026, Windward contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)

from __future__ import annotations

DOCUMENTATION = r"""
module: server_certificate
short_description: A server's certificate by an authority of its own, both made where they are used
version_added: 0.1.0
author: Windward contributors (@windward)
description:
  - Makes an authority and a certificate that it signs, in one directory of the host. No key ever leaves it.
  - Both are kept until they are about to expire. The certificate is also made anew when its names change.
  - C(authority.pem) is the authority's key and certificate, readable by root alone. C(ca.pem) is its certificate, for
    whoever is to trust it. C(server.pem) is the server's key and certificate.
options:
  directory:
    description: The directory, which exists.
    type: path
    required: true
  names:
    description: Names and IP addresses by which clients reach the server, the first as its common name.
    type: list
    elements: str
    required: true
  title:
    description: Name of the authority.
    type: str
    required: true
  group:
    description: Name of the group that may read C(server.pem).
    type: str
    default: root
requirements:
  - python3-cryptography on the host
attributes:
  check_mode:
    support: full
    description: Says what would be made. What does not exist yet has no text.
  diff_mode:
    support: full
    description: Says which files are made, and why.
"""

EXAMPLES = r"""
- name: Make a certificate for the proxy
  windward.airflow.server_certificate:
    directory: /etc/haproxy/airflow
    names: [airflow.example.org, 10.0.0.5]
    title: Airflow of the finance team
    group: haproxy
"""

RETURN = r"""
ca:
  description: The authority's certificate. It is no secret.
  returned: always
  type: str
  sample: "-----BEGIN CERTIFICATE-----..."
fingerprint:
  description: SHA-256 of the server's certificate, or nothing when check mode would make one.
  returned: always
  type: str
  sample: 5f8c0c1d...
expires:
  description: When the server's certificate ends.
  returned: always
  type: str
  sample: "2027-12-24T00:00:00+00:00"
"""

import datetime
import grp
import ipaddress
import os
import stat
import tempfile
from typing import Any

from ansible.module_utils.basic import AnsibleModule, missing_required_lib

try:
    from cryptography import x509
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import ec
    from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID
    HAS_CRYPTOGRAPHY = True
except ImportError:
    HAS_CRYPTOGRAPHY = False

DAY = datetime.timedelta(days=1)
# Browsers take no certificate that lasts longer than 398 days. An authority outlives every certificate that it signs.
LASTS = {"authority": 3650 * DAY, "server": 397 * DAY}
RENEWED = {"authority": 430 * DAY, "server": 30 * DAY}  # before the end


def now() -> datetime.datetime:
    return datetime.datetime.now(datetime.timezone.utc)


def end(certificate: Any) -> datetime.datetime:
    """Return when a certificate ends; older releases of cryptography say it without a time zone."""
    if hasattr(certificate, "not_valid_after_utc"):
        return certificate.not_valid_after_utc
    return certificate.not_valid_after.replace(tzinfo=datetime.timezone.utc)


def pem(certificate: Any) -> str:
    return certificate.public_bytes(serialization.Encoding.PEM).decode()


def with_key(key: Any, certificate: Any) -> str:
    """Return a key and its certificate as one text, so that one rename replaces both."""
    text = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    return text.decode() + pem(certificate)


def alternative(name: str) -> Any:
    try:
        return x509.IPAddress(ipaddress.ip_address(name))
    except ValueError:
        return x509.DNSName(name)


def public(key: Any) -> bytes:
    """Return a public key in a form that can be compared; the keys themselves can't be before cryptography 40."""
    return key.public_bytes(serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo)


def load(path: str) -> tuple[Any, Any] | None:
    """Return the key and the certificate of a file, if they are there and belong together."""
    try:
        with open(path, "rb") as stream:
            text = stream.read()
        key = serialization.load_pem_private_key(text, password=None)
        certificate = x509.load_pem_x509_certificate(text[text.index(b"-----BEGIN CERTIFICATE-----"):])
    except (OSError, ValueError, TypeError):
        return None
    return (key, certificate) if public(key.public_key()) == public(certificate.public_key()) else None


def make(kind: str, subject: str, key: Any, issuer: tuple[Any, Any] | None, names: list[str]) -> Any:
    """Return a certificate for ``key``, signed by ``issuer`` or by itself."""
    signer, by = issuer if issuer else (key, None)
    title = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, subject[:64])])
    authority = kind == "authority"
    usage = dict.fromkeys(
        ("content_commitment", "key_encipherment", "data_encipherment", "key_agreement", "encipher_only",
         "decipher_only"), False)
    builder = (
        x509.CertificateBuilder()
        .subject_name(title)
        .issuer_name(by.subject if by else title)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now() - DAY)  # clocks differ
        .not_valid_after(now() + LASTS[kind])
        .add_extension(x509.BasicConstraints(ca=authority, path_length=0 if authority else None), critical=True)
        .add_extension(x509.KeyUsage(digital_signature=not authority, key_cert_sign=authority, crl_sign=authority,
                                     **usage), critical=True)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
        .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(signer.public_key()), critical=False)
    )
    if not authority:
        builder = builder.add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), critical=False)
        builder = builder.add_extension(x509.SubjectAlternativeName([alternative(name) for name in names]),
                                        critical=False)
    return builder.sign(signer, hashes.SHA256())


def why_not_authority(found: tuple[Any, Any] | None) -> str:
    """Say why the authority can't be kept, or nothing."""
    if not found:
        return "there is none"
    return "it is about to expire" if end(found[1]) - now() < RENEWED["authority"] else ""


def why_not_server(found: tuple[Any, Any] | None, authority: tuple[Any, Any], names: list[str]) -> str:
    """Say why the server's certificate can't be kept, or nothing."""
    if not found:
        return "there is none"
    certificate = found[1]
    if end(certificate) - now() < RENEWED["server"]:
        return "it is about to expire"
    try:
        has = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
        signed_by = certificate.extensions.get_extension_for_class(x509.AuthorityKeyIdentifier).value
    except x509.ExtensionNotFound:
        return "it is not ours"
    if set(has) != {alternative(name) for name in names}:
        return "its names differ"
    own = x509.AuthorityKeyIdentifier.from_issuer_public_key(authority[0].public_key())
    return "" if signed_by.key_identifier == own.key_identifier else "another authority signed it"


def is_written(path: str, text: str | None, mode: int, gid: int) -> bool:
    """Tell whether a file has this text (any, for None), mode and group, and is root's."""
    try:
        status = os.stat(path)
        with open(path, encoding="utf-8") as stream:
            same = text is None or stream.read() == text
    except OSError:
        return False
    return same and (stat.S_IMODE(status.st_mode), status.st_uid, status.st_gid) == (mode, os.geteuid(), gid)


def write(path: str, text: str, mode: int, gid: int) -> None:
    """Replace a file by rename, so that no reader ever sees half of it."""
    handle, partial = tempfile.mkstemp(dir=os.path.dirname(path), prefix=".partial-")
    try:
        with os.fdopen(handle, "w", encoding="utf-8") as stream:
            stream.write(text)
            os.fchown(handle, os.geteuid(), gid)
            os.fchmod(handle, mode)
            stream.flush()
            os.fsync(handle)
        os.replace(partial, path)
    except BaseException:
        os.unlink(partial)
        raise


def main() -> None:
    module = AnsibleModule(
        argument_spec={
            "directory": {"type": "path", "required": True},
            "names": {"type": "list", "elements": "str", "required": True},
            "title": {"type": "str", "required": True},
            "group": {"type": "str", "default": "root"},
        },
        supports_check_mode=True,
    )
    if not HAS_CRYPTOGRAPHY:
        module.fail_json(msg=missing_required_lib("cryptography"))
    names, directory = module.params["names"], module.params["directory"]
    try:
        readers = grp.getgrnam(module.params["group"]).gr_gid
    except KeyError:
        module.fail_json(msg=f"There is no group '{module.params['group']}' on this host.")
    paths = {name: os.path.join(directory, f"{name}.pem") for name in ("authority", "ca", "server")}
    made: dict[str, str] = {}

    authority = load(paths["authority"])
    reason = why_not_authority(authority)
    if reason or not authority:
        made["authority"] = reason
        key = ec.generate_private_key(ec.SECP256R1())
        authority = key, make("authority", module.params["title"], key, None, [])
    server = load(paths["server"])
    reason = why_not_server(server, authority, names)
    if reason or not server:
        made["server"] = reason
        key = ec.generate_private_key(ec.SECP256R1())
        server = key, make("server", names[0], key, authority, names)

    # The authority first: a run that is killed between them leaves a server's certificate that the next makes anew.
    wanted = [
        ("authority", with_key(*authority) if "authority" in made else None, 0o600, os.getegid()),
        ("ca", pem(authority[1]), 0o644, os.getegid()),
        ("server", with_key(*server) if "server" in made else None, 0o640, readers),
    ]
    for name, text, mode, gid in wanted:
        if is_written(paths[name], text, mode, gid):
            continue
        made.setdefault(name, "text, owner, group or mode")
        if not module.check_mode:
            if text is None:
                os.chown(paths[name], os.geteuid(), gid)
                os.chmod(paths[name], mode)
            else:
                write(paths[name], text, mode, gid)

    unknown = module.check_mode and made
    module.exit_json(
        changed=bool(made),
        ca="" if module.check_mode and "authority" in made else pem(authority[1]),
        fingerprint="" if unknown else server[1].fingerprint(hashes.SHA256()).hex(),
        expires=end(server[1]).isoformat(),
        diff=[{"before_header": paths[name], "after_header": paths[name], "before": "", "after": f"made: {why}\n"}
              for name, why in made.items()],
    )


if __name__ == "__main__":
    main()
