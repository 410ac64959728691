// SPDX-License-Identifier: Apache-2.0
#include "peers/bare_onednn.h"

#include <fmt/format.h>
#include <omp.h>

#include <cmath>
#include <oneapi/dnnl/dnnl.hpp>
#include <optional>
#include <unordered_map>

#include "backend/cpu/isa.h"
#include "base/check.h"
#include "base/thread_pool.h"
#include "spread_threads.h"

namespace batchwise::bench {
namespace {

namespace dn = dnnl;
using Desc = dn::memory::desc;
constexpr auto kFloat = dn::memory::data_type::f32;

struct Layer {
  std::int64_t k = 0, n = 0;
  bool relu = false;
  std::vector<float> weights, bias;  // weights [k][n]
};

std::vector<float> floats_of(const Graph& graph, ValueId id) {
  std::vector<float> floats(static_cast<std::size_t>(graph.shape(id).elements()));
  graph.value(id).constant->copy_to(floats.data());
  return floats;
}

// The dense layers of the graph; fails where it has anything else.
std::vector<Layer> layers_of(const Graph& graph) {
  std::vector<Layer> layers;
  for (const Node& node : graph.nodes) {
    if (node.op == "Relu") {
      layers.back().relu = true;
    } else if (node.op == "Gemm") {
      Layer layer;
      layer.weights = floats_of(graph, node.inputs[1]);
      layer.bias = floats_of(graph, node.inputs[2]);
      layer.n = static_cast<std::int64_t>(layer.bias.size());
      layer.k = static_cast<std::int64_t>(layer.weights.size()) / layer.n;
      if (node.attributes.get_int("transB", 0) != 0) {
        const std::vector<float> transposed = layer.weights;
        for (std::int64_t i = 0; i < layer.k * layer.n; ++i) {
          layer.weights[static_cast<std::size_t>(i)] =
              transposed[static_cast<std::size_t>(i % layer.n * layer.k + i / layer.n)];
        }
      }
      layers.push_back(std::move(layer));
    } else if (node.op != "Flatten") {
      fail_input("onednn", "{} is no part of an MLP", node.op);
    }
  }
  return layers;
}

enum class Form { kOwnThreads, kSplitInnerProduct, kSplitMatmul, kOneThread };
constexpr const char* kFormNames[] = {"own", "split", "split-matmul", "one"};

// Columns [first, first + count) of a layer, ready to run.
class Part {
 public:
  Part(const dn::engine& engine, const Layer& layer, std::int64_t m, std::int64_t first,
       std::int64_t count, bool matmul, float* x, float* y)
      : stream_(engine) {
    dn::primitive_attr attributes;
    dn::post_ops relu;
    relu.append_eltwise(1.0f, dn::algorithm::eltwise_relu, 0.0f, 0.0f);
    if (layer.relu) attributes.set_post_ops(relu);
    const Desc from({m, layer.k}, kFloat, dn::memory::dims{layer.k, 1});
    const Desc to({m, count}, kFloat, dn::memory::dims{layer.n, 1});
    for (std::int64_t k = 0; k < layer.k; ++k) {
      const float* row = layer.weights.data() + k * layer.n + first;
      plain_.insert(plain_.end(), row, row + count);
    }
    bias_.assign(layer.bias.begin() + first, layer.bias.begin() + first + count);
    Desc packed, bias_desc;
    if (matmul) {
      bias_desc = Desc({1, count}, kFloat, dn::memory::format_tag::ab);
      const dn::matmul::primitive_desc desc(
          {from, Desc({layer.k, count}, kFloat, dn::memory::format_tag::any), bias_desc, to},
          attributes, engine);
      primitive_ = dn::matmul(desc);
      packed = desc.weights_desc();
      pack(engine, Desc({layer.k, count}, kFloat, dn::memory::format_tag::ab), packed);
    } else {
      bias_desc = Desc({count}, kFloat, dn::memory::format_tag::a);
      const dn::inner_product_forward::primitive_desc desc(
          {dn::prop_kind::forward_inference, from,
           Desc({count, layer.k}, kFloat, dn::memory::format_tag::any), bias_desc, to},
          attributes, engine);
      primitive_ = dn::inner_product_forward(desc);
      packed = desc.weights_desc();
      pack(engine, Desc({count, layer.k}, kFloat, dn::memory::format_tag::ba), packed);
    }
    arguments_ = {{DNNL_ARG_SRC, dn::memory(from, engine, x)},
                  {DNNL_ARG_WEIGHTS, weights_},
                  {DNNL_ARG_BIAS, dn::memory(bias_desc, engine, bias_.data())},
                  {DNNL_ARG_DST, dn::memory(to, engine, y + first)}};
  }
  void run() {
    primitive_.execute(stream_, arguments_);
    stream_.wait();
  }

 private:
  void pack(const dn::engine& engine, const Desc& from, const Desc& to) {
    dn::memory plain(from, engine, plain_.data());
    weights_ = dn::memory(to, engine);
    dn::reorder(plain, weights_).execute(stream_, plain, weights_);
    stream_.wait();
  }
  dn::stream stream_;
  std::vector<float> plain_, bias_;
  dn::memory weights_;
  dn::primitive primitive_;
  std::unordered_map<int, dn::memory> arguments_;
};

// A layer in one of its forms.
class PreparedLayer {
 public:
  PreparedLayer(const dn::engine& engine, const Layer& layer, std::int64_t m, Form form, float* x,
                float* y)
      : form_(form) {
    const bool split = form == Form::kSplitInnerProduct || form == Form::kSplitMatmul;
    omp_set_num_threads(form == Form::kOwnThreads ? kThreads : 1);
    const std::int64_t half = split ? layer.n / 2 : layer.n;
    for (std::int64_t first = 0; first < layer.n; first += half) {
      parts_.emplace_back(engine, layer, m, first, half, form == Form::kSplitMatmul, x, y);
    }
  }
  void run(ThreadPool& pool) {
    if (parts_.size() > 1) {
      pool.run([&](int part) {
        omp_set_num_threads(1);
        parts_[static_cast<std::size_t>(part)].run();
      });
      return;
    }
    omp_set_num_threads(form_ == Form::kOwnThreads ? kThreads : 1);
    parts_[0].run();
  }
  Form form() const { return form_; }

 private:
  Form form_;
  std::vector<Part> parts_;
};

}  // namespace

struct BareOneDnn::State {
  LoadedModel& model;
  std::int64_t batch;
  dn::engine engine{dn::engine::kind::cpu, 0};
  ThreadPool pool{kThreads};
  std::vector<Layer> layers;
  std::vector<std::vector<float>> activations;
  std::vector<PreparedLayer> prepared;

  std::vector<PreparedLayer> prepare(Form wide, Form narrow) {
    std::vector<PreparedLayer> result;
    for (std::size_t i = 0; i < layers.size(); ++i) {
      result.emplace_back(engine, layers[i], batch, i + 1 < layers.size() ? wide : narrow,
                          activations[i].data(), activations[i + 1].data());
    }
    return result;
  }
  double time() {
    return median_us(
        [&] {
          for (auto& layer : prepared) layer.run(pool);
        },
        20);
  }
};

BareOneDnn::BareOneDnn(LoadedModel& model, std::int64_t batch) : state_(new State{model, batch}) {
  static const auto capped = dn::set_max_cpu_isa(
      cpu::current_isa() == cpu::Isa::kAvx512 ? dn::cpu_isa::all : dn::cpu_isa::avx2);
  (void)capped;
  State& state = *state_;
  state.layers = layers_of(model.engine()->source());
  const std::vector<float>& samples = model.samples(batch);
  state.activations.emplace_back(samples.begin(), samples.begin() + batch * model.input_floats());
  for (const Layer& layer : state.layers) {
    state.activations.emplace_back(static_cast<std::size_t>(batch * layer.n));
  }
  const SpreadOmpThreads spread(kThreads);
  double best = 0;
  Form best_wide = Form::kOwnThreads, best_narrow = Form::kOwnThreads;
  for (Form wide : {Form::kOwnThreads, Form::kSplitInnerProduct, Form::kSplitMatmul}) {
    for (Form narrow : {Form::kOwnThreads, Form::kOneThread}) {
      try {
        state.prepared = state.prepare(wide, narrow);
      } catch (const dn::error&) {
        continue;  // the form does not exist for this layout
      }
      const double us = state.time();
      if (best != 0 && us >= best) continue;
      best = us;
      best_wide = wide;
      best_narrow = narrow;
    }
  }
  state.prepared = state.prepare(best_wide, best_narrow);
}

BareOneDnn::~BareOneDnn() = default;

void BareOneDnn::call() {
  for (auto& layer : state_->prepared) layer.run(state_->pool);
}

std::string BareOneDnn::form() const {
  return fmt::format("{}/{}", kFormNames[static_cast<int>(state_->prepared.front().form())],
                     kFormNames[static_cast<int>(state_->prepared.back().form())]);
}

double BareOneDnn::error() {
  PredictRun ours(state_->model, state_->batch);
  ours.call();
  call();
  double largest = 0, difference = 0;
  for (std::size_t i = 0; i < ours.outputs().size(); ++i) {
    const double a = static_cast<double>(ours.outputs()[i]);
    const double b = static_cast<double>(state_->activations.back()[i]);
    largest = std::max(largest, std::abs(a));
    difference = std::max(difference, std::abs(a - b));
  }
  return difference / largest;
}

std::string onednn_version() {
  const auto* version = dn::version();
  return fmt::format("{}.{}.{}", version->major, version->minor, version->patch);
}

}  // namespace batchwise::bench
