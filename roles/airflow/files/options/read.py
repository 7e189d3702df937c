# Copyright: (c) 2026, Windward contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Print, as JSON, the options that a release of Airflow and its providers know. Runs in that release's interpreter.

`make lock-airflow` writes what it prints beside it, for preflight: {"sections": {section: [option]}, "moved":
{"section.option": where it is now, or "" where it is gone}}. The source is Airflow's own description of its
configuration, and the table of changes behind `airflow config lint`.
"""

from __future__ import annotations

import json
import sys

from airflow.cli.commands.config_command import CONFIGS_CHANGES
from airflow.configuration import conf

sections = {name: sorted(section["options"]) for name, section in sorted(conf.configuration_description.items())}
moved = {}
for change in CONFIGS_CHANGES:
    old, new = change.config, change.renamed_to
    if (new or change.was_removed) and old.option not in sections.get(old.section, ()):
        moved[f"{old.section}.{old.option}"] = f"{new.section}.{new.option}" if new else ""
lines = ",\n".join(f"  {json.dumps(name)}: {json.dumps(options)}" for name, options in sections.items())
sys.stdout.write(f'{{"sections": {{\n{lines}}},\n"moved": {json.dumps(dict(sorted(moved.items())), indent=2)}}}\n')
