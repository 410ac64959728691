// SPDX-License-Identifier: Apache-2.0
#pragma once
// ONNX's messages; the build defines ONNX_ML and ONNX_NAMESPACE for this folder alone.
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wunused-parameter"
#pragma GCC diagnostic ignored "-Wshadow"
#include <onnx/onnx_pb.h>
#pragma GCC diagnostic pop
