// SPDX-License-Identifier: Apache-2.0
#include "onnx_io/node_order.h"

#include <map>

#include "base/check.h"

namespace batchwise::onnx_io {
namespace {

class NodeOrder {
 public:
  NodeOrder(const std::vector<onnx::NodeProto>& nodes, const std::set<std::string>& known,
            const std::string& path)
      : nodes_(nodes), known_(known), path_(path), states_(nodes.size(), State::kNew) {
    for (std::size_t n = 0; n < nodes.size(); ++n) {
      for (const auto& output : nodes[n].output()) {
        if (output.empty()) continue;
        if (!makers_.emplace(output, n).second || known.count(output) != 0) {
          fail_input(path, "value '{}' is made twice", output);
        }
      }
    }
  }

  std::vector<const onnx::NodeProto*> run() {
    for (std::size_t n = 0; n < nodes_.size(); ++n) place(n);
    return std::move(order_);
  }

 private:
  enum class State : std::uint8_t { kNew, kWaiting, kPlaced };

  // Places a node after all that it needs; a stack of its own, because a model can be deep.
  void place(std::size_t first) {
    std::vector<std::size_t> stack{first};
    while (!stack.empty()) {
      const std::size_t n = stack.back();
      if (states_[n] != State::kPlaced) {
        states_[n] = State::kWaiting;
        const std::size_t needed = unplaced_maker(nodes_[n]);
        if (needed < nodes_.size()) {
          stack.push_back(needed);
          continue;
        }
        states_[n] = State::kPlaced;
        order_.push_back(&nodes_[n]);
      }
      stack.pop_back();
    }
  }

  // A node that must run before this one and is not placed yet; nodes_.size() where there is none.
  std::size_t unplaced_maker(const onnx::NodeProto& node) const {
    for (const auto& input : node.input()) {
      if (input.empty() || known_.count(input) != 0) continue;
      const auto maker = makers_.find(input);
      if (maker == makers_.end()) {
        fail_input(path_, "node '{}' ({}) uses '{}', which nothing makes", node.name(),
                   node.op_type(), input);
      }
      const State state = states_[maker->second];
      if (state == State::kWaiting) {
        fail_input(path_, "node '{}' ({}) lies on a cycle through '{}'", node.name(),
                   node.op_type(), input);
      }
      if (state == State::kNew) return maker->second;
    }
    return nodes_.size();
  }

  const std::vector<onnx::NodeProto>& nodes_;
  const std::set<std::string>& known_;
  const std::string& path_;
  std::map<std::string, std::size_t> makers_;
  std::vector<State> states_;
  std::vector<const onnx::NodeProto*> order_;
};

}  // namespace

std::vector<const onnx::NodeProto*> order_nodes(const std::vector<onnx::NodeProto>& nodes,
                                                const std::set<std::string>& known,
                                                const std::string& path) {
  return NodeOrder(nodes, known, path).run();
}

}  // namespace batchwise::onnx_io
