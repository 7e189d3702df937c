# Copyright: (c) 2026, Windward contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)

"""Private to this collection. Keys and passwords. No message here holds a value."""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Iterator
from itertools import combinations

from ..deployment import Deployment, Finding, Host
from ..registry import each_host, whole

SIGNING = ("airflow_jwt_secret", "airflow_api_secret_key", "airflow_fingerprint_key")
PASSWORDS = ("airflow_database_password", "airflow_results_database_password", "airflow_broker_password")
DISTINCT = ("airflow_fernet_key", *SIGNING, "airflow_admin_password", *PASSWORDS)
SECRETS = (*DISTINCT, "airflow_broker_url")
# What well-known passwords are made of, digits and signs aside: `Airflow-2026!` is no better than `airflow`.
WORDS = (
    "administrator|admin|airflow|apache|change|default|hello|it|letmein|login|me|my|passwd|password|pass|please|postgres"
    "|qwertyuiop|qwerty|root|secret|super|test|the|this|user|welcome"
)
# Signs and digits that stand for letters: neither is `P@ssw0rd` better.
LOOKALIKES = {"a": "4@", "b": "8", "e": "3", "g": "9", "i": "1!|", "l": "1!|", "o": "0", "s": "5$", "t": "7+"}
SPELLINGS = [
    re.compile("".join(f"[{letter}{LOOKALIKES.get(letter, '')}]" for letter in word)) for word in WORDS.split("|")
]
GENERATED = "; empty means that one is generated"


@each_host
def fernet_key(host: Host) -> Iterator[Finding]:
    """Each member of `airflow_fernet_key` is 32 random bytes in URL-safe base64."""
    value = host["airflow_fernet_key"]
    for number, key in enumerate(value.split(",") if value else [], 1):
        which = f"key {number} " if "," in value else ""
        if not re.fullmatch(r"[A-Za-z0-9_-]{43}=", key):
            yield host.refuse("airflow_fernet_key", f"{which}{_not_fernet(key)}{GENERATED}")
        elif len(set(base64.urlsafe_b64decode(key))) < 12:
            yield host.refuse("airflow_fernet_key", f"{which}is not random{GENERATED}")


@each_host
def short_secret(host: Host) -> Iterator[Finding]:
    """Signing keys have 32 characters or more."""
    for variable, secret in host.items(*SIGNING):
        if 0 < len(secret) < 32:
            yield host.refuse(variable, f"has {len(secret)} characters, 32 are needed{GENERATED}")


@each_host
def equal_secrets(host: Host) -> Iterator[Finding]:
    """No secret serves two purposes: a worker, for example, has the passwords of the results and of the broker."""
    for (one, secret), (other, same) in combinations(host.items(*DISTINCT), 2):
        if _members(one, secret) & _members(other, same) - {""}:
            generated = "" if other in PASSWORDS and host["airflow_database_host"] else GENERATED
            yield host.refuse(other, f"is the same as {one}: each needs a value of its own{generated}")


@each_host
def weak_password(host: Host) -> Iterator[Finding]:
    """The administrator's password, and those of our own servers, are long, not well known and not the user's name."""
    users = {"airflow_admin_password": host["airflow_admin_username"], "airflow_broker_password": "airflow"}
    if not host["airflow_database_host"]:  # an existing server has its own rules
        users["airflow_database_password"] = host["airflow_database_user"]
        users["airflow_results_database_password"] = host["airflow_results_database_user"]
    for variable, password in host.items(*users):
        if not password:
            continue
        if len(password) < 12:
            yield host.refuse(variable, f"has fewer than 12 characters{GENERATED}")
        if password.lower() == users[variable].lower():
            yield host.refuse(variable, f"is the user's name{GENERATED}")
        letters = re.sub(r"[\W\d_]", "", password.lower())
        if _well_known(password.lower()) or _well_known(letters) or len(set(password)) < 6:
            yield host.refuse(variable, f"is a well-known password or little more{GENERATED}")


@each_host
def untidy_secret(host: Host) -> Iterator[Finding]:
    """No secret has a line end, a control character or white space around it, as a file that was read leaves."""
    for variable, secret in host.items(*SECRETS):
        if secret != secret.strip() or re.search(r"[\x00-\x1f\x7f]", secret):
            yield host.refuse(variable, "has white space around it or a control character in it: trim it (`| trim`)")


@whole
def secrets_differ(deployment: Deployment) -> Iterator[Finding]:
    """A secret is the same on all hosts of the deployment."""
    for variable in SECRETS:
        holders = [host for host in deployment.targets if variable not in host.unusable]
        if len({host[variable] for host in holders}) > 1:
            yield from (
                host.refuse(variable, "differs between hosts: set it once, for group airflow") for host in holders
            )


@each_host
def admin(host: Host) -> Iterator[Finding]:
    """The first administrator has a name and an e-mail address that Airflow takes."""
    if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9@._+-]{0,63}", host["airflow_admin_username"]):
        yield host.refuse(
            "airflow_admin_username", "use 1 to 64 letters, digits and @ . _ + -, a letter or digit first"
        )
    for variable, own in (("airflow_admin_username", "windward"), ("airflow_admin_email", "windward@localhost")):
        if host[variable].lower() == own:
            yield host.refuse(variable, "is that of the collection's own service account; choose another")
    if not re.fullmatch(r"[^@\s]+@[^@\s]+", host["airflow_admin_email"]):
        yield host.refuse("airflow_admin_email", "is no e-mail address")


def _members(variable: str, secret: str) -> set[str]:
    """What a secret is made of: old Fernet keys stand behind the new one."""
    return set(secret.split(",")) if variable == "airflow_fernet_key" else {secret}


def _well_known(text: str) -> bool:
    """Tell whether a text is but words of the list, each letter or a sign that looks like it, and other signs."""
    reached = {0}
    for place in range(len(text)):
        if place in reached:
            reached |= {place + 1} if not text[place].isalpha() else set()
            reached |= {found.end() for spelling in SPELLINGS if (found := spelling.match(text, place))}
    return len(text) in reached


def _not_fernet(key: str) -> str:
    try:
        raw = base64.b64decode(key, altchars=b"-_" if "+" not in key and "/" not in key else None, validate=True)
    except (binascii.Error, ValueError):
        return "is no Fernet key: 32 bytes in URL-safe base64, 44 characters"
    if len(raw) == 32:
        return "is not URL-safe: write - for + and _ for /"
    return f"is {len(raw)} bytes long, 32 are needed"
