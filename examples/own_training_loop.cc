// SPDX-License-Identifier: Apache-2.0
// A training loop of one's own: own loss, own metric, own schedule, own early stop. Trains on the
// embedded digits:  own_training_loop [data/digits.csv.gz]
#include <batchwise/batchwise.h>
#include <batchwise/trainer.h>

#include <cstdio>

using batchwise::GraphOps;
using batchwise::GraphValue;

// Cross-entropy with a little of the squared logits, so that they stay small.
static GraphValue regularized_loss(GraphOps& ops, GraphValue output, GraphValue labels) {
  const GraphValue size = ops.mean(ops.multiply(output, output));
  return ops.add(ops.cross_entropy(output, labels), ops.multiply(ops.constant(0.001), size));
}

// How sure the model is of its answer: the largest probability.
static GraphValue confidence(GraphOps& ops, GraphValue output, GraphValue) {
  return ops.max(ops.softmax(output));
}

int main(int argc, char** argv) try {
  const auto data = batchwise::Dataset::open(argc > 1 ? argv[1] : "data/digits.csv.gz");
  const auto model = batchwise::Model::make({.name = "mlp", .input = {64}, .hidden = {128}});
  batchwise::Trainer trainer(model, {.custom_loss = regularized_loss,
                                     .custom_metric = confidence,
                                     .learning_rate = 0.001,
                                     .batch_size = 64});
  double last_loss = 0;
  for (int epoch = 0; epoch < 5; ++epoch) {
    double loss = 0, sure = 0;
    std::int64_t samples = 0;
    auto batches = data.batches(
        {.batch_size = 64, .shuffle = true, .seed = static_cast<std::uint64_t>(epoch)});
    while (const auto* batch = batches.next()) {
      const auto result = trainer.step(*batch);
      loss += result.loss * static_cast<double>(result.samples);
      sure += *result.metric * static_cast<double>(result.samples);
      samples += result.samples;
    }
    last_loss = loss / static_cast<double>(samples);
    std::printf("epoch %d: loss %.4f, confidence %.3f\n", epoch + 1, last_loss,
                sure / static_cast<double>(samples));
    trainer.set_learning_rate(trainer.learning_rate() * 0.9);
  }
  // Or the loop that is there, with a callback that stops it.
  batchwise::fit(trainer, data, 3, [](const batchwise::EpochResult& epoch) {
    std::printf("then: loss %.4f\n", epoch.loss);
    return epoch.loss > 0.01;
  });
  return last_loss < 1.0 ? 0 : 1;
} catch (const batchwise::Error& error) {
  std::fprintf(stderr, "%s\n", error.what());
  return static_cast<int>(error.code());
}
