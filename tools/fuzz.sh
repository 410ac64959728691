#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# Runs every fuzzer of a build folder, two at a time: tools/fuzz.sh BUILD [SECONDS].
# Starts from the kept corpus, fuzz/corpus/NAME; new inputs stay in BUILD/fuzz/NAME, and what
# breaks a fuzzer in BUILD/fuzz/NAME-crash-*. The loader of models also gets the real ones.
set -eu
build=$1
seconds=${2:-${BATCHWISE_FUZZ_SECONDS:-60}}
export build seconds

run_one() {
  name=$1
  new=$build/fuzz/$name
  mkdir -p "$new"
  set -- "$new"
  [ ! -d "fuzz/corpus/$name" ] || set -- "$@" "fuzz/corpus/$name"
  models=${BATCHWISE_SHARED_DIR:-../shared}/models
  case $name in fuzz_onnx*) [ ! -d "$models" ] || set -- "$@" "$models" ;; esac
  if "$build/bin/$name" -max_total_time="$seconds" -timeout=20 -rss_limit_mb=3072 \
    -artifact_prefix="$new-" -print_final_stats=1 "$@" >"$new.log" 2>&1; then
    printf '%s: %s runs, no finding\n' "$name" \
      "$(sed -n 's/^stat::number_of_executed_units: *//p' "$new.log")"
  else
    tail -n 60 "$new.log"
    printf '%s: FAILED, log in %s.log\n' "$name" "$new"
    exit 1
  fi
}

if [ "${3:-}" ]; then
  run_one "$3"
  exit
fi
ls fuzz/fuzz_*.cc >/dev/null 2>&1 || { echo "no fuzzers"; exit 0; }
for source in fuzz/fuzz_*.cc; do
  basename "$source" .cc
done | xargs -P 2 -I {} sh "$0" "$build" "$seconds" {}
