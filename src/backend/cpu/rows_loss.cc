// SPDX-License-Identifier: Apache-2.0
#include "backend/cpu/loss.h"

#include "backend/cpu/rows.h"
#include "base/check.h"

namespace batchwise::cpu {
namespace {

// Labels are the last input.
std::optional<std::string> refuse_cross_entropy(const KernelRequest& request) {
  const int labels = request.num_inputs() - 1;
  const int logits = labels - 1;
  if (request.input(logits).rank() != 2) return "its logits are no matrix";
  if (request.input_dtype(labels) != DType::kInt64) return "its labels are not int64";
  return refuse_other_types(request, 1u << labels);
}

void check_labels(std::int64_t bad_sample, const CrossEntropy& job) {
  if (bad_sample < 0) return;
  fail_input("CrossEntropy", "label {} of sample {} is not one of {} classes",
             job.labels[bad_sample], bad_sample, job.classes);
}

std::unique_ptr<Kernel> prepare_cross_entropy(const KernelRequest& request) {
  const bool is_gradient = request.node().op == "CrossEntropyGrad";
  const int logits = is_gradient ? 1 : 0;
  CrossEntropy prepared;
  prepared.samples = request.input(logits)[0];
  prepared.classes = request.input(logits)[1];
  return make_kernel([=](const KernelCall& call) {
    CrossEntropy now = prepared;
    now.logits = call.input<float>(logits);
    now.labels = call.input<std::int64_t>(logits + 1);
    if (is_gradient) {
      now.dloss = call.input<float>(0);
      now.dlogits = call.output<float>(0);
    } else {
      now.loss = call.output<float>(0);
    }
    check_labels(softmax_cross_entropy(now, pool_for(call, now.samples * now.classes)), now);
  });
}

std::optional<std::string> refuse_squared_error(const KernelRequest& request) {
  return refuse_other_types(request);
}

std::unique_ptr<Kernel> prepare_squared_error(const KernelRequest& request) {
  const bool is_gradient = request.node().op == "MeanSquaredErrorGrad";
  const int prediction = is_gradient ? 1 : 0;
  const Shape& shape = request.input(prediction);
  SquaredError prepared;
  prepared.samples = shape[0];
  prepared.elements = shape.elements(1, shape.rank());
  return make_kernel([=](const KernelCall& call) {
    SquaredError now = prepared;
    now.prediction = call.input<float>(prediction);
    now.target = call.input<float>(prediction + 1);
    if (is_gradient) {
      now.dloss = call.input<float>(0);
      now.dprediction = call.output<float>(0);
    } else {
      now.loss = call.output<float>(0);
    }
    mean_squared_error(now, pool_for(call, now.samples * now.elements));
  });
}

}  // namespace

std::span<const KernelDef> loss_rows() {
  static const KernelDef rows[] = {
      {.op = "CrossEntropy",
       .name = "cpu cross-entropy",
       .refuse = refuse_cross_entropy,
       .prepare = prepare_cross_entropy},
      {.op = "CrossEntropyGrad",
       .name = "cpu cross-entropy gradient",
       .refuse = refuse_cross_entropy,
       .prepare = prepare_cross_entropy},
      {.op = "MeanSquaredError",
       .name = "cpu squared error",
       .refuse = refuse_squared_error,
       .prepare = prepare_squared_error},
      {.op = "MeanSquaredErrorGrad",
       .name = "cpu squared error gradient",
       .refuse = refuse_squared_error,
       .prepare = prepare_squared_error},
  };
  return rows;
}

}  // namespace batchwise::cpu
