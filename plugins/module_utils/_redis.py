# Copyright: (c) 2026, Windward contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)

# Private to this collection: it may change without notice.

"""What a Redis server says to one who knows its URL, by its own protocol: a host has no client library yet.

Nothing that a server says is passed on as it is: some repeat what they were sent, which may be the password.
"""

from __future__ import annotations

import re
import socket
import ssl
from typing import Any
from urllib.parse import SplitResult, parse_qs, unquote, urlsplit

TIMEOUT = 5.0
LONGEST = 1 << 20  # of an answer that is waited for


def look(url: str) -> dict[str, Any]:
    """Return what is in the way (``problem``), whether the server lets in anybody, and its eviction policy."""
    parts = urlsplit(url)
    said: dict[str, Any] = {"problem": "", "open": False, "policy": ""}
    try:
        with _connected(parts) as connection, connection.makefile("rwb") as stream:
            answer = _asked(stream, "PING")
            if answer.startswith("-DENIED"):  # and it hangs up
                return {**said, "problem": "it takes nobody from another host (its protected mode)"}
            said["open"] = answer.startswith("+")
            names = [unquote(name) for name in (parts.username, parts.password) if name] if parts.password else []
            # A server that asks for nothing calls a password an error, and goes on.
            refused = names and not _asked(stream, "AUTH", *names).startswith("+") and not said["open"]
            told = "" if refused else _asked(stream, "INFO", "memory")
            if refused:
                said["problem"] = "it refuses this user or password"
            elif told.startswith("-NOAUTH"):
                said["problem"] = "it asks for a password"
            found = re.search(r"^maxmemory_policy:(\S+)", told, re.MULTILINE)
            said["policy"] = found[1] if found else ""
    except ssl.SSLCertVerificationError as error:
        said["problem"] = f"its certificate is not trusted here ({error.verify_message})"
    except ssl.SSLError:
        said["problem"] = "it does not speak TLS as this host does"
    except socket.gaierror:
        said["problem"] = "this host can't resolve its name"
    except TimeoutError:
        # A server that waits for a line of text says nothing to one that begins TLS.
        how = " by TLS" if parts.scheme == "rediss" else ""
        said["problem"] = f"it does not answer this host{how} within {TIMEOUT:.0f} s"
    except OSError as error:
        said["problem"] = f"this host can't use it ({error.strerror or error or 'the connection ended'})"
    except ValueError:
        said["problem"] = "it does not answer as a Redis does"
    return said


def _connected(parts: SplitResult) -> socket.socket:
    connection = socket.create_connection((parts.hostname, parts.port or 6379), TIMEOUT)
    if parts.scheme != "rediss":
        return connection
    try:
        # The options by which kombu is told of certificates.
        given = {name: values[-1] for name, values in parse_qs(parts.query).items()}
        context = ssl.create_default_context(cafile=given.get("ssl_ca_certs"))
        if given.get("ssl_cert_reqs", "").lower() in ("none", "cert_none"):
            context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
        if "ssl_certfile" in given:
            context.load_cert_chain(given["ssl_certfile"], given.get("ssl_keyfile"))
        return context.wrap_socket(connection, server_hostname=parts.hostname)
    except BaseException:
        connection.close()
        raise


def _asked(stream: Any, *words: str) -> str:
    """Send one command; return its answer with the sign that it begins with, ``+`` or ``-``, or a text's content."""
    parts = [word.encode() for word in words]
    stream.write(b"*%d\r\n" % len(parts) + b"".join(b"$%d\r\n%s\r\n" % (len(part), part) for part in parts))
    stream.flush()
    line = stream.readline(LONGEST)
    if not line:
        raise ConnectionError
    if line[:1] in b"+-":
        return line.decode(errors="replace").rstrip()
    length = int(line[1:])
    if line[:1] != b"$" or not 0 <= length <= LONGEST:
        raise ValueError
    text: bytes = stream.read(length + 2)
    return text.decode(errors="replace").replace("\r", "")
