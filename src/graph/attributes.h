// SPDX-License-Identifier: Apache-2.0
#pragma once
#include <cstdint>
#include <map>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "tensor/tensor.h"

namespace batchwise {

using AttributeValue = std::variant<std::int64_t, double, std::string, std::vector<std::int64_t>,
                                    std::vector<double>, Tensor>;

// The attributes of a node, by name. A getter with a default returns it where the name is absent;
// one without throws Error naming the attribute. A wrong type is an Error too.
class Attributes {
 public:
  Attributes() = default;
  Attributes(std::initializer_list<std::pair<const std::string, AttributeValue>> values)
      : values_(values) {}

  bool has(const std::string& name) const { return values_.count(name) != 0; }
  std::int64_t get_int(const std::string& name, std::int64_t fallback) const;
  std::int64_t get_int(const std::string& name) const;
  double get_float(const std::string& name, double fallback) const;
  std::string get_string(const std::string& name, const std::string& fallback) const;
  std::vector<std::int64_t> get_ints(const std::string& name,
                                     std::vector<std::int64_t> fallback = {}) const;
  std::vector<double> get_floats(const std::string& name) const;
  const Tensor& get_tensor(const std::string& name) const;
  void set(const std::string& name, AttributeValue value) { values_[name] = std::move(value); }
  void erase(const std::string& name) { values_.erase(name); }

  const std::map<std::string, AttributeValue>& values() const { return values_; }
  // "axis=1, pads=[0, 1]"; tensors by type and shape.
  std::string to_string() const;

 private:
  std::map<std::string, AttributeValue> values_;
};

}  // namespace batchwise
