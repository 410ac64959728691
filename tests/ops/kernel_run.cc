// SPDX-License-Identifier: Apache-2.0
#include "kernel_run.h"

#include <algorithm>
#include <deque>

#include "base/check.h"

namespace batchwise::op_cases {
namespace {

constexpr std::size_t kGuardBytes = 64;
constexpr auto kGuard = std::byte{0xA5};

// Memory between two sentinels, full of NaNs.
class GuardedBuffer {
 public:
  explicit GuardedBuffer(std::int64_t bytes)
      : bytes_(static_cast<std::size_t>(bytes)), memory_(bytes_ + 3 * kGuardBytes, kGuard) {
    const auto place = reinterpret_cast<std::uintptr_t>(memory_.data()) + kGuardBytes;
    data_ = memory_.data() + kGuardBytes + (64 - place % 64) % 64;
    std::fill_n(data_, bytes_, std::byte{0xFF});
  }
  std::byte* data() const { return data_; }
  std::size_t bytes() const { return bytes_; }
  void check(const std::string& what) const {
    const auto intact = [](const std::byte* begin, const std::byte* end) {
      return std::all_of(begin, end, [](std::byte value) { return value == kGuard; });
    };
    if (!intact(memory_.data(), data_) ||
        !intact(data_ + bytes_, memory_.data() + memory_.size())) {
      fail_input("sentinel", "{} was overrun", what);
    }
  }

 private:
  std::size_t bytes_;
  std::vector<std::byte> memory_;
  std::byte* data_;
};

bool follows_layout(const KernelDef& kernel, const Graph& graph, ValueId id, int input) {
  if (id == kNoValue || graph.shape(id).rank() < 3) return false;
  return input < 0 || kernel.layout == LayoutSupport::kAny ||
         (kernel.activation_inputs >> input & 1) != 0;
}

// Elements of a (N, C, ...) tensor in channels-last order, or back.
void permute(const Shape& shape, std::size_t element_bytes, const std::byte* from, std::byte* to,
             bool to_channels_last) {
  const std::int64_t channels = shape[1], positions = shape.elements(2, shape.rank());
  for (std::int64_t n = 0; n < shape[0]; ++n) {
    for (std::int64_t c = 0; c < channels; ++c) {
      for (std::int64_t p = 0; p < positions; ++p) {
        std::int64_t row_major = (n * channels + c) * positions + p;
        std::int64_t channels_last = (n * positions + p) * channels + c;
        if (!to_channels_last) std::swap(row_major, channels_last);
        const auto bytes = static_cast<std::int64_t>(element_bytes);
        std::memcpy(to + channels_last * bytes, from + row_major * bytes, element_bytes);
      }
    }
  }
}

std::int64_t bytes_of(const TensorType& type) {
  return type.shape.elements() * static_cast<std::int64_t>(dtype_bytes(type.dtype));
}

class KernelRun {
 public:
  KernelRun(const Backend& backend, const KernelDef& kernel, const Graph& graph, const Node& node,
            const RunVariant& variant)
      : backend_(backend),
        kernel_(kernel),
        graph_(graph),
        node_(node),
        variant_(variant),
        pool_(variant.threads),
        request_(graph_, node_, variant.threads) {
    if (variant_.layout == Layout::kRowMajor) return;
    for (std::size_t i = 0; i < node_.inputs.size(); ++i) set_layout(node_.inputs[i], int(i));
    // A gradient of weights takes over the memory of its accumulator, which is row-major.
    if (op_row(node_.op).accumulates) return;
    for (ValueId id : node_.outputs) set_layout(id, -1);
  }

  std::vector<Tensor> run(std::span<const Tensor* const> inputs, const RunState& state) {
    for (std::size_t i = 0; i < inputs.size(); ++i) add_input(static_cast<int>(i), inputs[i]);
    for (std::size_t o = 0; o < node_.outputs.size(); ++o) add_output(static_cast<int>(o));
    const std::vector<std::vector<std::byte>> before = copies(inputs.size());
    const std::unique_ptr<Kernel> kernel = kernel_.prepare(request_);
    GuardedBuffer scratch(kernel->scratch_bytes());
    std::vector<const void*> in(inputs_.begin(), inputs_.end());
    std::vector<void*> out(outputs_.begin(), outputs_.end());
    in.push_back(nullptr);
    out.push_back(nullptr);
    kernel->run({in.data(), out.data(), scratch.data(), pool_, state});
    scratch.check("scratch");
    for (const GuardedBuffer& buffer : buffers_) buffer.check("a tensor");
    check_inputs(before);
    return results();
  }

 private:
  void set_layout(ValueId id, int input) {
    if (follows_layout(kernel_, graph_, id, input)) {
      graph_.value(id).layout = Layout::kChannelsLast;
    }
  }

  std::byte* add_buffer(std::int64_t bytes) { return buffers_.emplace_back(bytes).data(); }

  void add_input(int i, const Tensor* tensor) {
    const ValueId id = node_.inputs[static_cast<std::size_t>(i)];
    if (id == kNoValue) return inputs_.push_back(nullptr);
    const Value& value = graph_.value(id);
    const bool is_fixed = value.kind == ValueKind::kConstant || value.kind == ValueKind::kState;
    if (kernel_.packing != nullptr && is_fixed) {
      if (const std::optional<Attributes> packing = kernel_.packing(request_, i)) {
        request_.packed_inputs |= 1u << i;
        std::byte* data = add_buffer(packing->get_int("floats") * 4);
        backend_.pack(*packing, value.type, tensor->data(), reinterpret_cast<float*>(data), pool_);
        return inputs_.push_back(data);
      }
    }
    std::byte* data = add_buffer(bytes_of(value.type));
    if (value.layout == Layout::kChannelsLast) {
      permute(value.type.shape, dtype_bytes(value.type.dtype), tensor->data(), data, true);
    } else if (tensor->bytes() > 0) {
      std::memcpy(data, tensor->data(), static_cast<std::size_t>(tensor->bytes()));
    }
    inputs_.push_back(data);
  }

  // The input whose memory output o has, or -1.
  int shared_input(int o) const {
    const OpDef& row = op_row(node_.op);
    const auto at = static_cast<std::size_t>(o);
    if (at < row.updates.size() && row.updates[at] >= 0) return row.updates[at];
    if (o > 0) return -1;
    const bool has_accumulator =
        row.accumulates && static_cast<int>(node_.inputs.size()) == row.max_inputs;
    return has_accumulator ? row.max_inputs - 1 : variant_.shared_input;
  }

  void add_output(int o) {
    const ValueId id = node_.outputs[static_cast<std::size_t>(o)];
    if (id == kNoValue) return outputs_.push_back(nullptr);
    const int shared = shared_input(o);
    if (shared >= 0 && inputs_[static_cast<std::size_t>(shared)] != nullptr) {
      shared_.push_back(shared);
      return outputs_.push_back(inputs_[static_cast<std::size_t>(shared)]);
    }
    outputs_.push_back(add_buffer(bytes_of(graph_.type(id))));
  }

  std::vector<std::vector<std::byte>> copies(std::size_t count) const {
    std::vector<std::vector<std::byte>> result;
    std::size_t buffer = 0;
    for (std::size_t i = 0; i < count; ++i) {
      if (inputs_[i] == nullptr) {
        result.emplace_back();
        continue;
      }
      const GuardedBuffer& from = buffers_[buffer++];
      result.emplace_back(from.data(), from.data() + from.bytes());
    }
    return result;
  }

  void check_inputs(const std::vector<std::vector<std::byte>>& before) const {
    for (std::size_t i = 0; i < before.size(); ++i) {
      if (std::find(shared_.begin(), shared_.end(), static_cast<int>(i)) != shared_.end()) continue;
      if (!std::equal(before[i].begin(), before[i].end(), inputs_[i])) {
        fail_input("sentinel", "input {} was changed", i);
      }
    }
  }

  std::vector<Tensor> results() const {
    std::vector<Tensor> tensors;
    for (std::size_t o = 0; o < outputs_.size(); ++o) {
      if (outputs_[o] == nullptr) {
        tensors.emplace_back();
        continue;
      }
      const Value& value = graph_.value(node_.outputs[o]);
      Tensor tensor = Tensor::zeros(value.type.dtype, value.type.shape);
      if (value.layout == Layout::kChannelsLast) {
        permute(value.type.shape, dtype_bytes(value.type.dtype), outputs_[o], tensor.mutable_data(),
                false);
      } else if (tensor.bytes() > 0) {
        std::memcpy(tensor.mutable_data(), outputs_[o], static_cast<std::size_t>(tensor.bytes()));
      }
      tensors.push_back(std::move(tensor));
    }
    return tensors;
  }

  const Backend& backend_;
  const KernelDef& kernel_;
  Graph graph_;
  const Node node_;
  const RunVariant variant_;
  ThreadPool pool_;
  KernelRequest request_;
  std::deque<GuardedBuffer> buffers_;
  std::vector<std::byte*> inputs_, outputs_;
  std::vector<int> shared_;
};

// Is every value either of the output's rank or a single element, so that a common layout has a
// meaning?
bool has_common_rank(const Graph& graph, const Node& node) {
  const int rank = graph.shape(node.outputs[0]).rank();
  if (rank < 3) return false;
  return std::all_of(node.inputs.begin(), node.inputs.end(), [&](ValueId id) {
    return id == kNoValue || graph.shape(id).rank() == rank || graph.shape(id).elements() == 1;
  });
}

}  // namespace

std::string RunVariant::name() const {
  return fmt::format("{} threads{}{}", threads,
                     shared_input >= 0 ? fmt::format(", in place of input {}", shared_input) : "",
                     layout == Layout::kChannelsLast ? ", channels-last" : "");
}

std::vector<Tensor> run_kernel(const Backend& backend, const KernelDef& kernel, const Graph& graph,
                               const Node& node, std::span<const Tensor* const> inputs,
                               const RunState& state, const RunVariant& variant) {
  return KernelRun(backend, kernel, graph, node, variant).run(inputs, state);
}

std::vector<RunVariant> variants_of(const KernelDef& kernel, const Graph& graph, const Node& node) {
  std::vector<RunVariant> variants;
  const auto add = [&](RunVariant variant) {
    if (kernel.layout != LayoutSupport::kChannelsLast) variants.push_back(variant);
    const bool both = kernel.layout == LayoutSupport::kAny && has_common_rank(graph, node);
    variant.layout = Layout::kChannelsLast;
    if (both || kernel.layout == LayoutSupport::kChannelsLast) variants.push_back(variant);
  };
  for (int threads : {1, 2}) add({.threads = threads});
  const OpDef& row = op_row(node.op);
  for (int i = 0; i < static_cast<int>(node.inputs.size()) && i < 32; ++i) {
    const ValueId id = node.inputs[static_cast<std::size_t>(i)];
    if ((row.in_place_inputs >> i & 1) == 0 || id == kNoValue) continue;
    const TensorType &from = graph.type(id), &to = graph.type(node.outputs[0]);
    if (from.dtype == to.dtype && from.shape.elements() == to.shape.elements()) {
      add({.threads = 2, .shared_input = i});
    }
  }
  return variants;
}

}  // namespace batchwise::op_cases
