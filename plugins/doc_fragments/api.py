# Copyright: (c) 2026, Windward contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)

from __future__ import annotations


class ModuleDocFragment:
    DOCUMENTATION = r"""
options:
  api_url:
    description:
      - Where Airflow's API server answers, with the prefix of its path if it has one, without C(/api/v2).
      - If not given, the environment variable E(AIRFLOW_API_URL) is used, which must be set then.
    type: str
    required: true
  api_username:
    description:
      - The user to log in as. Needs O(api_password).
      - If not given, the environment variable E(AIRFLOW_API_USERNAME) is used.
    type: str
  api_password:
    description:
      - The user's password.
      - If not given, the environment variable E(AIRFLOW_API_PASSWORD) is used.
    type: str
  api_token:
    description:
      - A token of the API (a JWT) to use instead of a log-in.
      - With O(api_username) given too, a token that has run out is replaced by logging in.
      - If not given, the environment variable E(AIRFLOW_API_TOKEN) is used.
    type: str
  api_token_in:
    description:
      - How the token is sent. V(header) is the C(Authorization) header, V(cookie) Airflow's own cookie C(_token).
      - V(cookie) is for ways on which somebody else needs the header, as the proxy of the Kubernetes API server does.
      - If not given, the environment variable E(AIRFLOW_API_TOKEN_IN) is used.
    type: str
    choices: [header, cookie]
    default: header
  api_ca_path:
    description:
      - File with the certificates of the authorities to trust, in PEM format, instead of the system's.
      - If not given, the environment variable E(AIRFLOW_API_CA_PATH) is used.
    type: path
  validate_certs:
    description:
      - Whether the server's certificate must be valid. Switch it off in trials only.
      - If not given, the environment variable E(AIRFLOW_API_VALIDATE_CERTS) is used.
    type: bool
    default: true
  api_kubeconfig:
    description:
      - Reach Airflow through the Kubernetes cluster to which this file leads, whatever that exposes. O(api_url) is then
        Airflow's Service as the cluster's pods know it, for example V(http://airflow-api-server.airflow:8080).
      - Each connection is a port-forward in the module's own process, so that nothing has to run beside it. It needs
        the Python packages C(websocket-client) and C(PyYAML), and the right to read services and pods of the namespace
        and to create C(pods/portforward).
      - If not given, the environment variable E(AIRFLOW_API_KUBECONFIG) is used, and only that.
    type: path
  api_context:
    description:
      - The context of O(api_kubeconfig) to use instead of its current one.
      - If not given, the environment variable E(AIRFLOW_API_CONTEXT) is used.
    type: str
  api_timeout:
    description:
      - Seconds after which a single request without an answer has failed.
      - If not given, the environment variable E(AIRFLOW_API_TIMEOUT) is used.
    type: float
    default: 30.0
  api_retry_timeout:
    description:
      - For how many seconds a request is repeated, ever more slowly, while the server can't be reached, is overloaded
        (status 429) or fails (status 500 and above). Requests that would do something twice are not repeated.
      - If not given, the environment variable E(AIRFLOW_API_RETRY_TIMEOUT) is used.
    type: float
    default: 60.0
notes:
  - The module needs nothing but Python 3.9 or newer on the host where it runs, unless O(api_kubeconfig) is given.
  - Proxies are taken from the environment variables E(http_proxy), E(https_proxy) and E(no_proxy).
"""

    # Modules that wait, with looks() of module_utils/_module.py.
    INTERVAL = r"""
options:
  interval:
    description: The longest pause between two looks while waiting, in seconds.
    type: float
    default: 5.0
"""
