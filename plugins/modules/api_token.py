#!/usr/bin/python
# Copyright: (c) 2026, Windward contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)

from __future__ import annotations

DOCUMENTATION = r"""
module: api_token
short_description: Mint a short-lived API token from the deployment's own key
version_added: 0.1.0
author: Windward contributors (@windward)
description:
  - Signs a token for an account of the FAB auth manager with the JWT secret that this host holds. No password is
    needed, so it keeps working when a person changes one, and when log-in moves to LDAP or OAuth.
  - The result holds the token, so a task that uses this module needs C(no_log=true).
extends_documentation_fragment:
  - windward.airflow.release
options:
  username:
    description: The account.
    type: str
    required: true
  lifetime:
    description: Seconds after which the token ends.
    type: int
    default: 3600
  audience:
    description: Airflow's C([api_auth] jwt_audience).
    type: str
    default: apache-airflow
  issuer:
    description: Airflow's C([api_auth] jwt_issuer). Empty means that it is not set.
    type: str
    default: ""
attributes:
  check_mode:
    support: full
    description: The same, since nothing is changed.
  diff_mode:
    support: none
    description: Nothing is changed.
"""

EXAMPLES = r"""
- name: Mint a token
  windward.airflow.api_token:
    release: /opt/airflow/current
    user: airflow
    username: windward
  register: minted
  no_log: true
"""

RETURN = r"""
available:
  description: Whether there is a deployment to mint for. V(false) with a reason in C(msg) where there is none yet.
  type: bool
  returned: always
  sample: true
expires:
  description: When it ends, in seconds since the epoch.
  type: int
  returned: when available
  sample: 1795168800
token:
  description: The token.
  type: str
  returned: when available
  sample: eyJhbGciOi...
"""

import base64
import hashlib
import hmac
import json
import os
import time
import uuid

from ansible.module_utils.basic import AnsibleModule

from ..module_utils import _release


def sign(claims: dict[str, object], key: str) -> str:
    """Return a JWT signed with HS512, as Airflow does with ``[api_auth] jwt_secret``."""
    def encoded(value: bytes) -> bytes:
        return base64.urlsafe_b64encode(value).rstrip(b"=")
    parts = [encoded(json.dumps(part).encode()) for part in ({"alg": "HS512", "typ": "JWT"}, claims)]
    return b".".join([*parts, encoded(hmac.new(key.encode(), b".".join(parts), hashlib.sha512).digest())]).decode()


def main() -> None:
    module = AnsibleModule(
        argument_spec={
            **_release.OPTIONS,
            "username": {"type": "str", "required": True},
            "lifetime": {"type": "int", "default": 3600},
            "audience": {"type": "str", "default": "apache-airflow"},
            "issuer": {"type": "str", "default": ""},
        },
        supports_check_mode=True,
    )
    release = module.params["release"]
    try:
        variables = _release.environment(module.params)
    except FileNotFoundError as error:
        module.exit_json(changed=False, available=False, msg=str(error))
    if release and not os.path.exists(os.path.join(release, "release.json")):
        module.exit_json(changed=False, available=False, msg=f"There is no release in {release}.")
    try:
        found = _release.query("SELECT id FROM ab_user WHERE username = %s AND active", [module.params["username"]],
                               release, module.params["user"], variables)
    except _release.ReleaseError as error:
        why = str(error).strip().splitlines()[-1]  # below where it came from
        module.exit_json(changed=False, available=False, msg=f"The metadata database gives no account: {why}")
    if not found:
        module.exit_json(changed=False, available=False, msg="There is no active account '{}'.".format(
            module.params["username"]))
    now = int(time.time())
    claims = {"jti": uuid.uuid4().hex, "sub": str(found[0][0]), "iat": now, "nbf": now,
              "exp": now + module.params["lifetime"],
              "aud": module.params["audience"]}
    if module.params["issuer"]:
        claims["iss"] = module.params["issuer"]
    token = sign(claims, variables["AIRFLOW__API_AUTH__JWT_SECRET"])
    module.exit_json(changed=False, available=True, expires=claims["exp"], token=token)


if __name__ == "__main__":
    main()
