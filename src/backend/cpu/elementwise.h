// SPDX-License-Identifier: Apache-2.0
#pragma once
#include <array>
#include <cstdint>
#include <span>

#include "base/thread_pool.h"

// Elementwise kernels on float. Each output element is one fixed sequence of operations on its
// inputs, whatever its place. `pool` may be null; an output may be the same array as an input, but
// not overlap it otherwise.
namespace batchwise::cpu {

enum class UnaryOp : std::uint8_t {
  kIdentity,
  kRelu,
  kLeakyRelu,  // x < 0 ? a x : x
  kClip,       // a <= x <= b
  kSigmoid,
  kTanh,
  kGelu,      // with erf
  kGeluTanh,  // the tanh form
  kErf,
  kExp,
  kLog,
  kSqrt,
  kNegate,
  kAbs,
  kReciprocal,
  kSquare,
  kAffine,  // a x + b, fused
  kPower,   // x^a
};

// One elementwise step; `a` and `b` as the op says.
struct UnaryStep {
  UnaryOp op = UnaryOp::kIdentity;
  float a = 0.0f;
  float b = 0.0f;
};

void unary(const UnaryStep& step, const float* x, float* y, std::int64_t count, ThreadPool* pool);

// Whether unary_grad reads the step's output or its input as `saved`. kIdentity, kNegate and
// kAffine read neither (`saved` may be null).
bool unary_grad_reads_output(UnaryOp op);

// dx = dy * (slope of the step). At a kink: relu and abs have slope 0, leaky relu 1; clip has slope
// 1 on its ends.
void unary_grad(const UnaryStep& step, const float* dy, const float* saved, float* dx,
                std::int64_t count, ThreadPool* pool);

enum class BinaryOp : std::uint8_t { kAdd, kSub, kMul, kDiv, kPow, kMax, kMin };
enum class CompareOp : std::uint8_t { kEqual, kLess, kLessOrEqual, kGreater, kGreaterOrEqual };

// How up to three contiguous operands are broadcast to one contiguous output (numpy's rule): their
// axes, as few as will do, outermost first; a stride of 0 repeats. A value, made once.
struct BroadcastPlan {
  static constexpr int kMaxRank = 6;
  static constexpr int kMaxOperands = 3;
  int rank = 0;
  int operands = 0;
  std::int64_t count = 0;  // elements of the output
  std::array<std::int64_t, kMaxRank> sizes{};
  std::array<std::array<std::int64_t, kMaxRank>, kMaxOperands> strides{};  // in elements
};

// Requires: the shapes broadcast to each other, two or three of them, and need at most kMaxRank
// axes when collapsed.
BroadcastPlan plan_broadcast(std::span<const std::span<const std::int64_t>> shapes);
BroadcastPlan plan_broadcast(std::span<const std::int64_t> a, std::span<const std::int64_t> b);

void binary(BinaryOp op, const BroadcastPlan& plan, const float* a, const float* b, float* y,
            ThreadPool* pool);
// y is 0 or 1. Comparisons with NaN are false.
void compare(CompareOp op, const BroadcastPlan& plan, const float* a, const float* b,
             std::uint8_t* y, ThreadPool* pool);
// y = condition ? a : b; the plan's operands are condition, a, b.
void select(const BroadcastPlan& plan, const std::uint8_t* condition, const float* a,
            const float* b, float* y, ThreadPool* pool);

// A step of a chain: unary, or binary with another array of as many elements.
struct ChainStep {
  bool is_binary = false;
  bool is_swapped = false;  // other op x, not x op other
  UnaryStep unary;
  BinaryOp binary = BinaryOp::kAdd;
  const float* other = nullptr;
};

// y = the steps applied to x one after the other, a block that stays in the nearest cache at a
// time. The same bits as the steps run alone.
void elementwise_chain(std::span<const ChainStep> steps, const float* x, float* y,
                       std::int64_t count, ThreadPool* pool);

}  // namespace batchwise::cpu
