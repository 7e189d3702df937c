# Copyright: (c) 2026, Windward contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)

"""The controller's half of module ``ecr_image``: logs in at ECR, hands on what that gave, says how far it has come."""

from __future__ import annotations

import contextlib
import tempfile
import threading
from collections.abc import Iterator
from pathlib import Path

from ansible.utils.display import Display

from ..plugin_utils._registry_action import RegistryAction, Result

SLICE = 10.0  # seconds between two lines


class ActionModule(RegistryAction):
    MODULE = "windward.airflow.ecr_image"

    @contextlib.contextmanager
    def _progress(self) -> Iterator[Result]:
        """A module has no voice until it ends, but one on this computer can write to a file meanwhile."""
        if self._connection.transport != "local" or self._task.no_log:
            yield {}
            return
        ended = threading.Event()
        with tempfile.NamedTemporaryFile(prefix="ecr_image-") as file:

            def follow() -> None:
                said = ""
                while not ended.wait(SLICE):
                    line = Path(file.name).read_text()
                    if line and line != said:
                        Display().display(f"{self._task.args.get('image')}: {line}", stderr=True)
                    said = line

            teller = threading.Thread(target=follow, daemon=True)
            teller.start()
            try:
                yield {"progress": file.name}
            finally:
                ended.set()
                teller.join()
