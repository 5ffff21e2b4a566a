#!/usr/bin/env bash
# need.sh PROGRAM: a program of Debian's package of the same name, installed where that is possible.
set -euo pipefail
command -v "$1" >/dev/null && exit
if [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null; then
  echo "== Installing $1"
  { apt-get -qq update && DEBIAN_FRONTEND=noninteractive apt-get -qq install -y "$1"; } >/dev/null
fi
command -v "$1" >/dev/null || { echo "$1 is missing. Install Debian's package $1." >&2; exit 1; }
