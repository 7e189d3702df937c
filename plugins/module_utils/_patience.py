# Copyright: (c) 2026, Windward contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Private to the collection. What a moment's patience may cure of an exchange over HTTP."""

from __future__ import annotations

import http.client
import socket
import ssl
import time
from email.message import Message
from email.utils import parsedate_to_datetime


def lasting(exc: BaseException) -> bool:
    """Errors that waiting doesn't cure."""
    unknown_host = isinstance(exc, socket.gaierror) and exc.errno != socket.EAI_AGAIN
    known = (ssl.SSLCertVerificationError, http.client.InvalidURL)
    return unknown_host or isinstance(exc, known) or getattr(exc, "lasting", False)


def retry_after(headers: Message) -> float:
    """Seconds that a server asks to wait, as a number or a date, else 0."""
    value = headers.get("Retry-After", "")
    if value.isdecimal():
        return float(value)  # of any length, which an int isn't
    try:
        return parsedate_to_datetime(value).timestamp() - time.time()
    except (TypeError, ValueError, OverflowError):
        return 0
