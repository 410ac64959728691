// SPDX-License-Identifier: Apache-2.0
#pragma once

// Marks what libbatchwise.so shows; everything else in it is hidden. On each public class with
// members of its own in the library, each public function, and each exception.
#define BATCHWISE_API __attribute__((visibility("default")))
