#!/bin/sh
# Install the browser that the test drives, from Debian's packages.
set -eu
command -v chromium > /dev/null && command -v chromedriver > /dev/null && exit 0
[ "$(id -u)" = 0 ] && root="" || root=sudo
$root apt-get update -qq
DEBIAN_FRONTEND=noninteractive $root apt-get install -y -qq --no-install-recommends chromium chromium-driver
