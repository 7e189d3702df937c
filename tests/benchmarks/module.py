"""Run the module `resources` in this process, with the options that stdin gives as JSON; on stderr, what it cost."""

from __future__ import annotations

import contextlib
import http.client
import json
import resource
import sys
import time
from collections.abc import Callable
from typing import Any

from ansible.module_utils.testing import patch_module_args
from ansible_collections.windward.airflow.plugins.modules import resources

waited = 0.0


def timed(method: Callable[..., Any]) -> Callable[..., Any]:
    def call(*arguments: Any, **options: Any) -> Any:
        global waited
        started = time.monotonic()
        try:
            return method(*arguments, **options)
        finally:
            waited += time.monotonic() - started

    return call


http.client.HTTPConnection.request = timed(http.client.HTTPConnection.request)  # type: ignore[method-assign]
http.client.HTTPConnection.getresponse = timed(http.client.HTTPConnection.getresponse)  # type: ignore[method-assign]
http.client.HTTPResponse.read = timed(http.client.HTTPResponse.read)  # type: ignore[method-assign]
options = json.load(sys.stdin)
started = time.monotonic()
with patch_module_args(options), contextlib.suppress(SystemExit):
    resources.main()
seconds = time.monotonic() - started
memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
json.dump({"module": seconds, "own": seconds - waited, "memory": memory}, sys.stderr)
