// SPDX-License-Identifier: Apache-2.0
#pragma once
#include <string_view>

namespace batchwise::serve {

// The page at "/".
std::string_view dashboard_page();

}  // namespace batchwise::serve
