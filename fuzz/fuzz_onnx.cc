// SPDX-License-Identifier: Apache-2.0
// A model file of any bytes is read, freed of its batch and bound to another one, or refused with
// an Error. InternalError and any other exception are bugs.
#include <cstdint>
#include <string>

#include "batchwise/error.h"
#include "engine/evaluator.h"
#include "onnx_io/onnx_io.h"
#include "ops/op.h"
#include "passes/bind_batch.h"

namespace batchwise {
namespace {

class InputStorage : public Storage {
 public:
  explicit InputStorage(std::string bytes) : bytes_(std::move(bytes)) {}
  const std::byte* data() const override {
    return reinterpret_cast<const std::byte*>(bytes_.data());
  }
  std::size_t bytes() const override { return bytes_.size(); }

 private:
  std::string bytes_;
};

void read_and_bind(std::string bytes) {
  Graph graph = onnx_io::read_onnx(std::make_shared<InputStorage>(std::move(bytes)), "fuzzed");
  verify(graph);
  verify_ops(graph);
  if (!free_batch(graph, engine_evaluator()).empty()) return;
  const Graph bound = bind_batch(graph, 5, engine_evaluator());
  verify(bound);
  verify_ops(bound);
}

}  // namespace
}  // namespace batchwise

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  try {
    batchwise::read_and_bind({reinterpret_cast<const char*>(data), size});
  } catch (const batchwise::InternalError&) {
    throw;
  } catch (const batchwise::Error&) {
    // Refused, as it should be.
  }
  return 0;
}
