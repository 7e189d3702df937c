# Copyright: (c) 2026, Windward contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)

"""Private to this collection. The image of a cluster: a given one, or one that is built of what is declared."""

from __future__ import annotations

import re
from collections.abc import Iterator

from ....module_utils._image import normal, parse, region
from ....module_utils._registry import ImageError
from ..deployment import Finding, Host
from ..registry import each_host
from ..versions import requirement
from .cluster import SECRET, asks_registry, here

IMAGE = r"[a-z0-9][\w.:/-]*\w(@sha256:[0-9a-f]{64})?"
# What an image has in it, and nobody adds to a running pod.
IN_THE_IMAGE = ("airflow_requirements", "airflow_system_packages", "airflow_plugins", "airflow_pythonpath")
# What only a build reads.
OF_A_BUILD = ("airflow_image_base", "airflow_image_platform", "airflow_image_tag", "airflow_image_build_network")


@each_host
def cluster_images(host: Host) -> Iterator[Finding]:
    """Images have names, and what users bring besides DAGs is in an image of their own."""
    if not here(host):
        return
    for variable in ("airflow_image", "airflow_postgresql_image", "airflow_redis_image"):
        if host[variable] and not re.fullmatch(IMAGE, host[variable]):
            yield host.refuse(variable, "must be an image such as registry.example.org/name:tag")
    for index, name in enumerate(host["airflow_image_pull_secrets"]):
        if not re.fullmatch(SECRET, name):
            yield host.refuse(f"airflow_image_pull_secrets[{index}]", "is no name of a Secret", name)
    for variable, value in host.items(*IN_THE_IMAGE):
        if value and not host["airflow_image_repository"]:
            problem = "can't be added to pods: name an airflow_image_repository, and an image is built with it"
            if host["airflow_image"]:
                problem = "can't be added to airflow_image: give airflow_image_repository instead, to build one"
            yield host.refuse(variable, problem, None)


@each_host
def image_registry(host: Host) -> Iterator[Finding]:
    """An image that is pushed, or brought to nodes, has a registry, a tag or a digest, and a log-in that is whole."""
    built, name = host["airflow_image_repository"], host["airflow_image"]
    if not here(host) or not asks_registry(host):
        return
    try:
        reference = parse(f"{built}:tag" if built else re.sub(r":[^:/@]+@", "@", name))
    except ImageError as error:
        if not built:
            yield host.refuse("airflow_image", f"can't be brought to the nodes: {error}", None)
        return
    url = host["airflow_image_registry_url"]
    if "@" in url:
        problem = "holds a log-in: give airflow_image_registry_username and airflow_image_registry_password instead"
        yield host.refuse("airflow_image_registry_url", problem, None)
    elif url and not re.match(r"https?://[\w.\[-]", url):
        yield host.refuse("airflow_image_registry_url", "must begin with https:// or http:// and name a host")
    pair = ("airflow_image_registry_username", "airflow_image_registry_password")
    for given, missing in (pair, reversed(pair)):
        if host[given] and not host[missing]:
            yield host.refuse(missing, f"is empty, and {given} is given: give both, or none", None)
    for variable in ("airflow_image_aws_profile", "airflow_image_aws_role_arn"):
        if host[variable] and not region(reference):
            yield host.refuse(variable, f"is for ECR, and {reference.host} is another registry: leave it out")


@each_host
def image_build(host: Host) -> Iterator[Finding]:
    """An image that is built has a repository in a registry, a base, and is the only one."""
    repository = host["airflow_image_repository"]
    if not here(host):
        return
    if not repository:
        for variable, value in host.items(*OF_A_BUILD):
            if value:
                yield host.refuse(variable, "is for an image that is built: give airflow_image_repository, too", None)
        return
    try:
        parts = parse(f"{repository}:tag")
        if not re.match(rf"{re.escape(parts.host)}/", repository):
            yield host.refuse("airflow_image_repository", "names no registry, as in registry.example.org/team/airflow")
    except ImageError:
        yield host.refuse("airflow_image_repository", "must be a registry and a path, without a tag")
    if host["airflow_image"]:
        yield host.refuse("airflow_image", "is given, and airflow_image_repository builds another one: keep one", None)
    if host["airflow_image_base"]:
        try:
            parse(host["airflow_image_base"])
        except ImageError as error:
            yield host.refuse("airflow_image_base", f"can't be built on: {error}", None)
    if host["airflow_image_platform"]:
        try:
            normal(host["airflow_image_platform"])
        except ImageError:
            yield host.refuse("airflow_image_platform", "is no platform, such as linux/amd64")
    if not re.fullmatch(r"(\w[\w.-]{0,127})?", host["airflow_image_tag"], re.ASCII):
        yield host.refuse("airflow_image_tag", "is no tag, such as 20261122080000")
    if not re.fullmatch(r"(\w[\w.:-]*)?", host["airflow_image_build_network"], re.ASCII):
        yield host.refuse("airflow_image_build_network", "is no network of Docker, such as host")
    if not 0 <= host["airflow_image_keep"] <= 1000:
        yield host.refuse("airflow_image_keep", "must be from 1 to 1000, or 0 to leave the repository alone")


@each_host
def image_requirements(host: Host) -> Iterator[Finding]:
    """What is in an image can be read by who has it, so a requirement's URL holds no password."""
    if not here(host) or not host["airflow_image_repository"]:
        return
    for index, text in enumerate(host["airflow_requirements"]):
        wanted = requirement(text)
        if wanted and wanted.url and "@" in wanted.url.partition("//")[2].partition("/")[0]:
            problem = "has a log-in in its URL, which would be in the image: use airflow_package_index_url for that"
            yield host.refuse(f"airflow_requirements[{index}]", problem, None)


@each_host
def image_dags(host: Host) -> Iterator[Finding]:
    """DAGs that are in the image are declared once, and one goes back by the image."""
    if not here(host) or not host["airflow_image_dags"]:
        return
    if not host["airflow_image_repository"] and not host["airflow_image"]:
        yield host.refuse("airflow_image_dags", "the official image has none: give airflow_image_repository", None)
    elif host["airflow_image_repository"] and not host["airflow_dags"]:
        yield host.refuse("airflow_image_dags", "there are no airflow_dags to be put into the image", None)
    elif host["airflow_image"] and host["airflow_dags"]:
        problem = "is not read where airflow_image holds the DAGs: leave it out, or build an image of it"
        yield host.refuse("airflow_dags", problem, None)
    if host["airflow_dags_release"]:
        problem = "is for DAGs on a volume: give airflow_image_tag (or airflow_image) to go back to a former image"
        yield host.refuse("airflow_dags_release", problem)
