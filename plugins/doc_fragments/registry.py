# Copyright: (c) 2026, Windward contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)

from __future__ import annotations


class ModuleDocFragment:
    # Modules that ask a registry; their argument spec is SPEC of module_utils/_registry_options.py.
    DOCUMENTATION = r"""
options:
  image:
    description:
      - Name of the image with its registry, and a tag or a digest, such as
        V(123456789012.dkr.ecr.eu-central-1.amazonaws.com/airflow:20261122080000).
      - A name without a registry is one of Docker Hub's.
    type: str
    required: true
  registry_url:
    description:
      - Where the registry of the name is asked, such as a mirror. Only a URL that says C(http://) is asked without TLS.
      - Unset means https and the host of the name.
    type: str
  registry_username:
    description: User of the registry. Unset means a log-in by AWS if the registry is one of ECR, else none.
    type: str
  registry_password:
    description: Password of the user, or a token.
    type: str
  ca_path:
    description: File with the certificates of authorities to be trusted, on the host that this runs on.
    type: path
  validate_certs:
    description: Whether the registry's certificate is checked.
    type: bool
    default: true
  timeout:
    description: Seconds that the registry may be silent.
    type: float
    default: 30
  retry_timeout:
    description: Seconds for which a request is tried again that was refused for the moment, as by 429 or 503.
    type: float
    default: 60
  environment:
    description:
      - More environment variables for the way to the registry, such as those of proxies. They may hold a password; that
        of a task's C(environment) would be on a command line.
    type: dict
    default: {}
  aws_profile:
    description: Profile of the AWS configuration on the controller.
    type: str
  aws_access_key:
    description: Access key, in place of what boto3 finds on the controller (environment, profile, role of the machine).
    type: str
  aws_secret_key:
    description: Secret of O(aws_access_key).
    type: str
  aws_session_token:
    description: Session token of O(aws_access_key), if that is a temporary one.
    type: str
  aws_role_arn:
    description: Role that is assumed before the log-in.
    type: str
  aws_endpoint_url:
    description: URL of the API of ECR, in place of AWS' own, such as that of an interface endpoint.
    type: str
  aws_sts_endpoint_url:
    description: URL of the API of STS, of which O(aws_role_arn) is asked.
    type: str
"""
