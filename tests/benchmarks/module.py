"""Run the module `resources` in this process, with the options that stdin gives as JSON; on stderr, what it cost.

Its time is that of the processor: nothing but HTTP makes it wait, and other work on the computer is not counted.
"""

from __future__ import annotations

import contextlib
import http.client
import json
import resource
import sys
import time
from collections import defaultdict
from collections.abc import Callable
from typing import Any

from ansible.module_utils.basic import AnsibleModule
from ansible.module_utils.testing import patch_module_args
from ansible_collections.windward.airflow.plugins.modules import resources

spent: dict[str, float] = defaultdict(float)


def timed(kind: type, *names: str, under: str) -> None:
    """Add up how long these methods take."""

    def wrapped(method: Callable[..., Any]) -> Callable[..., Any]:
        def call(*arguments: Any, **options: Any) -> Any:
            started = time.process_time()
            try:
                return method(*arguments, **options)
            finally:
                spent[under] += time.process_time() - started

        return call

    for name in names:
        setattr(kind, name, wrapped(getattr(kind, name)))


timed(http.client.HTTPConnection, "request", "getresponse", under="http")
timed(http.client.HTTPResponse, "read", under="http")
timed(AnsibleModule, "__init__", "exit_json", under="ansible")  # it reads and checks the options, and gives the result
options = json.load(sys.stdin)
started = time.process_time()
with patch_module_args(options), contextlib.suppress(SystemExit):
    resources.main()
seconds = time.process_time() - started
memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
own = seconds - spent["http"] - spent["ansible"]
json.dump({"module": seconds, "own": own, "memory": memory, **spent}, sys.stderr)
