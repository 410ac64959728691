// SPDX-License-Identifier: Apache-2.0
#include <algorithm>
#include <array>
#include <limits>

#include "backend/cpu/elementwise.h"
#include "backend/cpu/random.h"
#include "backend/cpu/rows.h"
#include "base/check.h"

namespace batchwise::cpu {
namespace {

std::optional<std::string> refuse_elementwise(const KernelRequest& request) {
  return refuse_other_types(request);
}

float bound_of(const KernelRequest& request, int i, float fallback) {
  const Tensor* bound = request.constant(i);
  if (bound != nullptr) bound->reshaped(Shape()).copy_to(&fallback);
  return fallback;
}

// --- one input ---

template <UnaryOp kOp>
UnaryStep unary_step(const KernelRequest& request, int first_bound) {
  UnaryStep step{kOp};
  const Attributes& attributes = request.attributes();
  if (kOp == UnaryOp::kLeakyRelu) step.a = static_cast<float>(attributes.get_float("alpha", 0.01));
  if (kOp == UnaryOp::kGelu && attributes.get_string("approximate", "none") == "tanh") {
    step.op = UnaryOp::kGeluTanh;
  }
  if (kOp == UnaryOp::kClip) {
    step.a = bound_of(request, first_bound, std::numeric_limits<float>::lowest());
    step.b = bound_of(request, first_bound + 1, std::numeric_limits<float>::max());
  }
  return step;
}

template <UnaryOp kOp>
std::unique_ptr<Kernel> prepare_unary(const KernelRequest& request) {
  const UnaryStep step = unary_step<kOp>(request, 1);
  const std::int64_t count = request.output(0).elements();
  return make_kernel([=](const KernelCall& call) {
    unary(step, call.input<float>(0), call.output<float>(0), count, pool_for(call, count));
  });
}

// The saved value is input 1: the op's output or its input, as its row says.
template <UnaryOp kOp>
std::unique_ptr<Kernel> prepare_unary_grad(const KernelRequest& request) {
  const UnaryStep step = unary_step<kOp>(request, 2);
  const std::int64_t count = request.output(0).elements();
  return make_kernel([=](const KernelCall& call) {
    unary_grad(step, call.input<float>(0), call.input<float>(1), call.output<float>(0), count,
               pool_for(call, count));
  });
}

std::optional<std::string> refuse_clip(const KernelRequest& request) {
  const int first = request.node().op == "Clip" ? 1 : 2;
  for (int i = first; i < first + 2; ++i) {
    if (request.has_input(i) && request.constant(i) == nullptr) return "a bound is not constant";
  }
  return refuse_other_types(request);
}

// --- two and three inputs, broadcast ---

BroadcastPlan broadcast_plan(const KernelRequest& request, int operands) {
  const int rank = request.output(0).rank();
  const bool last = is_channels_last(request);
  std::array<std::vector<std::int64_t>, 3> dims;
  std::array<std::span<const std::int64_t>, 3> spans;
  for (int i = 0; i < operands; ++i) {
    const auto at = static_cast<std::size_t>(i);
    dims[at] = physical_dims(request.input(i), rank, last);
    spans[at] = dims[at];
  }
  return plan_broadcast(std::span(spans.data(), static_cast<std::size_t>(operands)));
}

std::optional<std::string> refuse_broadcast(const KernelRequest& request) {
  if (request.num_inputs() != 2) return fmt::format("it has {} inputs", request.num_inputs());
  if (request.output(0).rank() > BroadcastPlan::kMaxRank) return "it has more than 6 axes";
  return refuse_other_types(request);
}

template <BinaryOp kOp>
std::unique_ptr<Kernel> prepare_binary(const KernelRequest& request) {
  const BroadcastPlan plan = broadcast_plan(request, 2);
  return make_kernel([=](const KernelCall& call) {
    binary(kOp, plan, call.input<float>(0), call.input<float>(1), call.output<float>(0),
           pool_for(call, plan.count));
  });
}

std::optional<std::string> refuse_compare(const KernelRequest& request) {
  for (int i = 0; i < 2; ++i) {
    if (request.input_dtype(i) != DType::kFloat32) return "an input is not float32";
  }
  if (request.output(0).rank() > BroadcastPlan::kMaxRank) return "it has more than 6 axes";
  return std::nullopt;
}

template <CompareOp kOp>
std::unique_ptr<Kernel> prepare_compare(const KernelRequest& request) {
  const BroadcastPlan plan = broadcast_plan(request, 2);
  return make_kernel([=](const KernelCall& call) {
    compare(kOp, plan, call.input<float>(0), call.input<float>(1), call.output<std::uint8_t>(0),
            pool_for(call, plan.count));
  });
}

std::optional<std::string> refuse_where(const KernelRequest& request) {
  if (request.output(0).rank() > BroadcastPlan::kMaxRank) return "it has more than 6 axes";
  return refuse_other_types(request, 0b1);
}

std::unique_ptr<Kernel> prepare_where(const KernelRequest& request) {
  const BroadcastPlan plan = broadcast_plan(request, 3);
  return make_kernel([=](const KernelCall& call) {
    select(plan, call.input<std::uint8_t>(0), call.input<float>(1), call.input<float>(2),
           call.output<float>(0), pool_for(call, plan.count));
  });
}

// --- dropout ---

std::unique_ptr<Kernel> prepare_dropout(const KernelRequest& request) {
  const Shape& shape = request.output(0);
  Dropout prepared;
  prepared.samples = shape.rank() > 0 ? shape[0] / request.attributes().get_int("block", 1) : 1;
  prepared.per_sample = prepared.samples > 0 ? shape.elements() / prepared.samples : 0;
  prepared.ratio = request.attributes().get_float("ratio", 0.5);
  prepared.stream = request.attributes().get_int("stream", 0);
  return make_kernel([=](const KernelCall& call) {
    Dropout now = prepared;
    now.seed = call.state.seed;
    now.step = call.state.step;
    now.first_sample = call.state.first_sample;
    dropout(now, call.input<float>(0), call.output<float>(0),
            pool_for(call, now.samples * now.per_sample));
  });
}

template <UnaryOp kOp>
constexpr KernelDef unary_row(std::string_view op) {
  return {.op = op,
          .name = "cpu elementwise",
          .refuse = kOp == UnaryOp::kClip ? refuse_clip : refuse_elementwise,
          .prepare = prepare_unary<kOp>,
          .layout = LayoutSupport::kAny};
}

template <UnaryOp kOp>
constexpr KernelDef unary_grad_row(std::string_view op) {
  return {.op = op,
          .name = "cpu elementwise gradient",
          .refuse = kOp == UnaryOp::kClip ? refuse_clip : refuse_elementwise,
          .prepare = prepare_unary_grad<kOp>,
          .layout = LayoutSupport::kAny};
}

template <BinaryOp kOp>
constexpr KernelDef binary_row(std::string_view op) {
  return {.op = op,
          .name = "cpu elementwise",
          .refuse = refuse_broadcast,
          .prepare = prepare_binary<kOp>,
          .layout = LayoutSupport::kAny};
}

template <CompareOp kOp>
constexpr KernelDef compare_row(std::string_view op) {
  return {.op = op,
          .name = "cpu elementwise",
          .refuse = refuse_compare,
          .prepare = prepare_compare<kOp>,
          .layout = LayoutSupport::kAny};
}

}  // namespace

std::span<const KernelDef> elementwise_rows() {
  static const KernelDef rows[] = {
      unary_row<UnaryOp::kRelu>("Relu"),
      unary_row<UnaryOp::kLeakyRelu>("LeakyRelu"),
      unary_row<UnaryOp::kClip>("Clip"),
      unary_row<UnaryOp::kSigmoid>("Sigmoid"),
      unary_row<UnaryOp::kTanh>("Tanh"),
      unary_row<UnaryOp::kGelu>("Gelu"),
      unary_row<UnaryOp::kErf>("Erf"),
      unary_row<UnaryOp::kExp>("Exp"),
      unary_row<UnaryOp::kLog>("Log"),
      unary_row<UnaryOp::kSqrt>("Sqrt"),
      unary_row<UnaryOp::kNegate>("Neg"),
      unary_row<UnaryOp::kAbs>("Abs"),
      unary_row<UnaryOp::kReciprocal>("Reciprocal"),
      unary_grad_row<UnaryOp::kRelu>("ReluGrad"),
      unary_grad_row<UnaryOp::kLeakyRelu>("LeakyReluGrad"),
      unary_grad_row<UnaryOp::kClip>("ClipGrad"),
      unary_grad_row<UnaryOp::kSigmoid>("SigmoidGrad"),
      unary_grad_row<UnaryOp::kTanh>("TanhGrad"),
      unary_grad_row<UnaryOp::kGelu>("GeluGrad"),
      unary_grad_row<UnaryOp::kErf>("ErfGrad"),
      binary_row<BinaryOp::kAdd>("Add"),
      binary_row<BinaryOp::kSub>("Sub"),
      binary_row<BinaryOp::kMul>("Mul"),
      binary_row<BinaryOp::kDiv>("Div"),
      binary_row<BinaryOp::kPow>("Pow"),
      binary_row<BinaryOp::kMax>("Max"),
      binary_row<BinaryOp::kMin>("Min"),
      compare_row<CompareOp::kEqual>("Equal"),
      compare_row<CompareOp::kGreater>("Greater"),
      compare_row<CompareOp::kLess>("Less"),
      {.op = "Where",
       .name = "cpu elementwise",
       .refuse = refuse_where,
       .prepare = prepare_where,
       .layout = LayoutSupport::kAny},
      {.op = "DropoutTraining",
       .name = "cpu dropout",
       .refuse = refuse_elementwise,
       .prepare = prepare_dropout},
  };
  return rows;
}

}  // namespace batchwise::cpu
