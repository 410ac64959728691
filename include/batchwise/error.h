// SPDX-License-Identifier: Apache-2.0
#pragma once
#include <stdexcept>
#include <string>
#include <utility>

#include "batchwise/export.h"

namespace batchwise {

// What went wrong, as far as a caller must tell cases apart. The value is the exit code of the
// command line; other boundaries (HTTP, gRPC, Python) translate from it in one place each.
enum class ErrorCode {
  kNo = 1,            // the answer is "no": a check failed, a limit cannot be met
  kInvalidInput = 2,  // the user's flag, file, model, data or request is wrong
  kInternal = 3,      // our bug
  kEnvironment = 4,   // the world failed: full disk, busy port, lost process
  kInterrupted = 130,
};

// The one exception that Batchwise throws. what() is one line, "[where] what is wrong: values".
class BATCHWISE_API Error : public std::runtime_error {
 public:
  Error(ErrorCode code, const std::string& message, std::string hint = {})
      : std::runtime_error(message), code_(code), hint_(std::move(hint)) {}
  ErrorCode code() const { return code_; }
  // What to do next, where it is known; else empty.
  const std::string& hint() const { return hint_; }

 private:
  ErrorCode code_;
  std::string hint_;
};

// Our own bug, with file and line in its message.
class BATCHWISE_API InternalError : public Error {
 public:
  explicit InternalError(const std::string& message) : Error(ErrorCode::kInternal, message) {}
};

}  // namespace batchwise
