# Copyright: (c) 2026, Windward contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Private to the collection. A pod's state in a word, and what Kubernetes says of one that is not well."""

from __future__ import annotations

from typing import Any


def state(pod: dict[str, Any]) -> tuple[str, str]:
    """A pod's state in Kubernetes' words, and what is said about it where it is not well."""
    status = pod.get("status") or {}
    containers = [*(status.get("initContainerStatuses") or ()), *(status.get("containerStatuses") or ())]
    for one in containers:
        waiting = (one.get("state") or {}).get("waiting") or {}
        if waiting.get("reason") not in (None, "PodInitializing", "ContainerCreating"):
            return waiting["reason"], waiting.get("message") or last_words(one)
    if pod["metadata"].get("deletionTimestamp"):
        return "Terminating", ""
    conditions = {one["type"]: one for one in status.get("conditions") or ()}
    if status.get("phase") == "Running" and conditions.get("Ready", {}).get("status") != "True":
        return "NotReady", " ".join(filter(None, (last_words(one) for one in containers)))
    scheduled = conditions.get("PodScheduled", {})
    told = scheduled.get("message", "") if scheduled.get("status") == "False" else ""
    return str(status.get("phase", "Unknown")), told


def last_words(container: dict[str, Any]) -> str:
    ended = (container.get("lastState") or {}).get("terminated") or {}
    return f"{container['name']} ended with {ended['exitCode']} ({ended.get('reason')})." if ended else ""


def pods_told(pods: list[dict[str, Any]]) -> list[str]:
    """A line about each pod that is not well."""
    found = [(pod["metadata"]["name"], *state(pod)) for pod in pods]
    return [f"{name} is {what}. {why}".rstrip() for name, what, why in found if what not in ("Running", "Succeeded")]
