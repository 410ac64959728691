#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# The main job on the embedded data: two models for the handwritten digits, studied together.
# Called by ./dev demo in the repository's root, after the build.
set -eu
report=${1:-demo-report}
batchwise=build/bin/batchwise
mkdir -p "$report"
"$batchwise" new mlp --input 64 --classes 10 -o "$report/digits-mlp.onnx"
"$batchwise" new cnn --input 1x8x8 --classes 10 -o "$report/digits-cnn.onnx"
"$batchwise" study "$report/digits-mlp.onnx" "$report/digits-cnn.onnx" \
  --data data/digits.csv.gz --normalize mean=0,std=16 --lr 0.02 --epochs 6 -o "$report"
printf '\nThe report: %s\n' "$report/report.html"
