# Copyright: (c) 2026, Windward contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""How asyncpg talks to PgBouncer (``[database] sql_alchemy_connect_args_async``)."""

# A statement that was prepared on one server connection is unknown on the next, which a pooler of transactions may
# give. SQLAlchemy has a cache of its own, which the URL turns off.
POOLED = {"statement_cache_size": 0}
