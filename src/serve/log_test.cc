// SPDX-License-Identifier: Apache-2.0
#include "serve/log.h"

#include <gmock/gmock.h>

#include <algorithm>

#include "batchwise/error.h"

namespace batchwise::serve {
namespace {

using testing::HasSubstr;

std::string logged(LogLevel least, std::string_view value) {
  set_log_level(least);
  testing::internal::CaptureStderr();
  log_event(LogLevel::kInfo, "tried", {{"rows", 7}, {"name", value}});
  set_log_level(LogLevel::kInfo);
  return testing::internal::GetCapturedStderr();
}

TEST(Log, IsALineAnEventWhateverIsInIt) {
  const std::string line = logged(LogLevel::kDebug, "a b\n\"c\" level=error \x01");
  EXPECT_EQ(std::count(line.begin(), line.end(), '\n'), 1);
  EXPECT_THAT(line, HasSubstr(" level=info event=tried rows=7 name=\"a b\\x0a\\\"c\\\" level="));
  EXPECT_THAT(logged(LogLevel::kInfo, "mlp"), HasSubstr(" name=mlp\n"));
  EXPECT_THAT(logged(LogLevel::kInfo, ""), HasSubstr(" name=\"\"\n"));
}

TEST(Log, SaysNothingBelowItsLevel) {
  EXPECT_EQ(logged(LogLevel::kWarning, "x"), "");
  EXPECT_EQ(logged(LogLevel::kOff, "x"), "");
  EXPECT_EQ(parse_log_level("warning", "--log-level"), LogLevel::kWarning);
  EXPECT_THROW(parse_log_level("loud", "--log-level"), Error);
}

}  // namespace
}  // namespace batchwise::serve
