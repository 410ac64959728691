// SPDX-License-Identifier: Apache-2.0
#pragma once
#include <string_view>

#include "serve/http/message.h"

namespace batchwise::serve {

// Notes a field of a request's head, if it is one that is read. What makes no sense is left in
// head.fault.
void read_field(std::string_view name, std::string_view value, RequestHead& head);

// Whether a text is a W3C trace parent of a known form: "00-" trace "-" span "-" flags.
bool is_trace_parent(std::string_view text);

}  // namespace batchwise::serve
