# Copyright: (c) 2026, Windward contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)

# Private to this collection: it may change without notice.
"""Preflight: what was declared, and what was found, against the rules. Pure; the action plugins feed it.

contract.py    what the role `airflow` states: variables, releases, components, systems
types.py       one value against one option of an argument spec
deployment.py  what a rule sees: hosts, groups, variables
registry.py    the decorators that make a function a rule
versions.py    versions and requirements
engine.py      runs the rules, joins equal findings
ansible.py     from inventory variables to plain values, from findings to a task's result
rules/         the rules by topic; add yours there
"""
