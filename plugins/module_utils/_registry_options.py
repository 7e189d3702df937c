# Copyright: (c) 2026, Windward contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Private to the collection. How a module is told about an image's registry, as doc_fragments/registry.py says."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Any
from urllib.parse import urlsplit

from ._image import Reference
from ._registry import ImageError, Registry

# What never leaves the controller.
AWS: dict[str, Any] = {
    "aws_profile": {"type": "str"},
    "aws_access_key": {"type": "str", "no_log": False},
    "aws_secret_key": {"type": "str", "no_log": True},
    "aws_session_token": {"type": "str", "no_log": True},
    "aws_role_arn": {"type": "str"},
    "aws_endpoint_url": {"type": "str"},
    "aws_sts_endpoint_url": {"type": "str"},
}
SPEC: dict[str, Any] = {
    "image": {"type": "str", "required": True},
    "registry_url": {"type": "str"},
    "registry_username": {"type": "str"},
    "registry_password": {"type": "str", "no_log": True},
    "ca_path": {"type": "path"},
    "validate_certs": {"type": "bool", "default": True},
    "timeout": {"type": "float", "default": 30},
    "retry_timeout": {"type": "float", "default": 60},
    "environment": {"type": "dict", "default": {}, "no_log": True},
    **AWS,
}
TOGETHER = [("registry_username", "registry_password"), ("aws_access_key", "aws_secret_key")]


MOST = 7 * 86400  # seconds


def registry(reference: Reference, options: Mapping[str, Any]) -> Registry:
    """The registry of an image, as the options say."""
    for name in (name for name in options if name.endswith("timeout")):
        least = 0 if name == "retry_timeout" else 0.1
        if not least <= options[name] <= MOST:
            raise ImageError(f"{name} must be from {least} to {MOST} seconds")
    os.environ.update({name: str(value) for name, value in options["environment"].items()})
    url = options["registry_url"] or reference.api
    if "@" in url:
        raise ImageError("registry_url holds a log-in: give registry_username and registry_password instead")
    if not url.startswith(("https://", "http://")):
        raise ImageError(f"registry_url {url} begins with neither https:// nor http://")
    try:
        named = bool(urlsplit(url).hostname)
    except ValueError:
        named = False
    if not named:
        raise ImageError(f"registry_url {url} names no host")
    return Registry(
        url, reference.path, username=options["registry_username"], password=options["registry_password"],
        ca_path=options["ca_path"], validate_certs=options["validate_certs"], timeout=options["timeout"],
        retry_timeout=options["retry_timeout"],
    )
