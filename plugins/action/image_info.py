# Copyright: (c) 2026, Windward contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)

"""The controller's half of module ``image_info``: the log-in at ECR."""

from __future__ import annotations

from ..plugin_utils._registry_action import RegistryAction


class ActionModule(RegistryAction):
    MODULE = "windward.airflow.image_info"
