// SPDX-License-Identifier: Apache-2.0
#include "graph/attributes.h"

#include "base/check.h"

namespace batchwise {
namespace {

template <typename T>
const T* find(const std::map<std::string, AttributeValue>& values, const std::string& name) {
  const auto it = values.find(name);
  if (it == values.end()) return nullptr;
  const T* value = std::get_if<T>(&it->second);
  if (value == nullptr) fail_input("attribute", "{} has another type than its op wants", name);
  return value;
}

template <typename T>
const T& require(const std::map<std::string, AttributeValue>& values, const std::string& name) {
  const T* value = find<T>(values, name);
  if (value == nullptr) fail_input("attribute", "{} is missing", name);
  return *value;
}

struct Printer {
  std::string operator()(std::int64_t value) const { return fmt::format("{}", value); }
  std::string operator()(double value) const { return fmt::format("{:g}", value); }
  std::string operator()(const std::string& value) const { return fmt::format("\"{}\"", value); }
  std::string operator()(const std::vector<std::int64_t>& value) const {
    return fmt::format("[{}]", fmt::join(value, ", "));
  }
  std::string operator()(const std::vector<double>& value) const {
    return fmt::format("[{}]", fmt::join(value, ", "));
  }
  std::string operator()(const Tensor& value) const {
    return fmt::format("{}{}", dtype_name(value.dtype()), value.shape().to_string());
  }
};

}  // namespace

std::int64_t Attributes::get_int(const std::string& name, std::int64_t fallback) const {
  const auto* value = find<std::int64_t>(values_, name);
  return value ? *value : fallback;
}
std::int64_t Attributes::get_int(const std::string& name) const {
  return require<std::int64_t>(values_, name);
}
double Attributes::get_float(const std::string& name, double fallback) const {
  const auto* value = find<double>(values_, name);
  return value ? *value : fallback;
}
std::string Attributes::get_string(const std::string& name, const std::string& fallback) const {
  const auto* value = find<std::string>(values_, name);
  return value ? *value : fallback;
}
std::vector<std::int64_t> Attributes::get_ints(const std::string& name,
                                               std::vector<std::int64_t> fallback) const {
  const auto* value = find<std::vector<std::int64_t>>(values_, name);
  if (value != nullptr) return *value;
  return fallback;
}
std::vector<double> Attributes::get_floats(const std::string& name) const {
  const auto* value = find<std::vector<double>>(values_, name);
  return value ? *value : std::vector<double>{};
}
const Tensor& Attributes::get_tensor(const std::string& name) const {
  return require<Tensor>(values_, name);
}

std::string Attributes::to_string() const {
  std::vector<std::string> parts;
  for (const auto& [name, value] : values_) {
    parts.push_back(fmt::format("{}={}", name, std::visit(Printer{}, value)));
  }
  return fmt::format("{}", fmt::join(parts, ", "));
}

}  // namespace batchwise
