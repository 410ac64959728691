// SPDX-License-Identifier: Apache-2.0
#pragma once
#include <string>

namespace batchwise::serve {

// gRPC writes to standard error what concerns single connections, in a form of its own. It is kept
// quiet for the whole process, unless GRPC_VERBOSITY asks for it.
void keep_quiet();

// Why the system refused what this thread last asked gRPC for, "Address already in use"; after
// keep_quiet().
std::string last_system_error();

}  // namespace batchwise::serve
