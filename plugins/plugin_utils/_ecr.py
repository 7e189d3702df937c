# Copyright: (c) 2026, Windward contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Private to the collection. The log-in at ECR, on the controller: AWS credentials stay here."""

from __future__ import annotations

import base64
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

try:
    import boto3
    from botocore.exceptions import BotoCoreError, ClientError
except ImportError:
    boto3 = None

from ansible.module_utils.basic import missing_required_lib

from ..module_utils._image import ECR, Reference
from ..module_utils._registry import ImageError


def now() -> datetime:
    return datetime.now(UTC)


def login(reference: Reference, options: Mapping[str, Any]) -> tuple[str, str]:
    """User and password for the registry of a name, for as long as ECR gives them: twelve hours, or the role's rest."""
    if boto3 is None:
        raise ImageError(missing_required_lib("boto3", reason=f"to log in at {reference.host}"))
    found = ECR.fullmatch(reference.host)
    assert found
    try:
        given = _session(found["region"], options).client("ecr", endpoint_url=options.get("aws_endpoint_url"))
        row = given.get_authorization_token()["authorizationData"][0]
    except (BotoCoreError, ClientError, ValueError) as exc:  # boto3's own words name what is wrong, and no secret
        raise ImageError(f"no log-in at {reference.host}: {exc}") from exc
    if row["expiresAt"] <= now():
        raise ImageError(
            f"the log-in that ECR gave for {reference.host} ended at {row['expiresAt']:%Y-%m-%d %H:%M:%S %Z}: "
            "is this computer's clock right?"
        )
    username, _, password = base64.b64decode(row["authorizationToken"]).decode().partition(":")
    return username, password


def _session(region: str, options: Mapping[str, Any]) -> Any:
    session = boto3.Session(
        profile_name=options.get("aws_profile"),
        aws_access_key_id=options.get("aws_access_key"),
        aws_secret_access_key=options.get("aws_secret_key"),
        aws_session_token=options.get("aws_session_token"),
        region_name=region,
    )
    if not options.get("aws_role_arn"):
        return session
    sts = session.client("sts", endpoint_url=options.get("aws_sts_endpoint_url"))
    role = sts.assume_role(RoleArn=options["aws_role_arn"], RoleSessionName="windward.airflow")["Credentials"]
    return boto3.Session(
        aws_access_key_id=role["AccessKeyId"],
        aws_secret_access_key=role["SecretAccessKey"],
        aws_session_token=role["SessionToken"],
        region_name=region,
    )
