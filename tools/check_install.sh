#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# Installs a build into a folder of its own, builds examples/ against it with nothing but
# find_package(batchwise), and runs each program in the repository's root:
# tools/check_install.sh BUILD CXX
set -eu
root=$(cd "$(dirname "$0")/.." && pwd)
scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT
cmake --install "$1" --prefix "$scratch/prefix" >"$scratch/install.log"
cmake -G Ninja -S "$root/examples" -B "$scratch/build" -DCMAKE_BUILD_TYPE=Release \
  -DCMAKE_CXX_COMPILER="$2" -DCMAKE_PREFIX_PATH="$scratch/prefix" >"$scratch/configure.log"
cmake --build "$scratch/build"
cd "$root"
for source in examples/*.cc; do
  echo "== $source"
  "$scratch/build/$(basename "$source" .cc)"
done
echo "== the installed command line"
[ ! -e "$1/bin/batchwise" ] || "$scratch/prefix/bin/batchwise" --help >/dev/null
