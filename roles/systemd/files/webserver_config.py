"""Log-in by user and password in Airflow's own database; see airflow_webserver_config for your own."""

from __future__ import annotations

from flask_appbuilder.const import AUTH_DB

AUTH_TYPE = AUTH_DB
WTF_CSRF_ENABLED = True
