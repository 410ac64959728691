// SPDX-License-Identifier: Apache-2.0
// Convolutions and their gradients against oneDNN (its own layouts, weights reordered before) and
// against the machine's peak, for each instruction set:
//   bench_conv [forward|input|weight] [avx2|avx512] [threads N] [batch N] [layer NAME]
#include <fmt/format.h>

#include <string>
#include <vector>

#include "../bench/bench.h"
#include "../bench/instruction_sets.h"
#include "backend/cpu/conv.h"
#include "backend/cpu/conv_gradient.h"

namespace batchwise::cpu {
namespace {
using bench::Floats;

enum class Direction { kForward, kInputGradient, kWeightGradient };
constexpr const char* kDirections[] = {"forward", "input", "weight"};

struct Layer {
  const char* name;
  std::int64_t channels, size, out_channels, kernel, stride, pad;
};
// The CNN of reference/peers.md, then ResNet-50's kinds of layers.
constexpr Layer kLayers[] = {{"cnn1-5x5", 1, 28, 32, 5, 1, 2},
                             {"cnn2-5x5", 32, 14, 64, 5, 1, 2},
                             {"stem-7x7/2", 3, 224, 64, 7, 2, 3},
                             {"3x3-64@56", 64, 56, 64, 3, 1, 1},
                             {"3x3-128@28", 128, 28, 128, 3, 1, 1},
                             {"3x3-256@14", 256, 14, 256, 3, 1, 1},
                             {"3x3-512@7", 512, 7, 512, 3, 1, 1},
                             {"3x3/2-128@56", 128, 56, 128, 3, 2, 1},
                             {"1x1-64-256@56", 64, 56, 256, 1, 1, 0},
                             {"1x1-256-64@56", 256, 56, 64, 1, 1, 0},
                             {"1x1-1024-256@14", 1024, 14, 256, 1, 1, 0},
                             {"1x1-512-2048@7", 512, 7, 2048, 1, 1, 0},
                             {"1x1-2048-512@7", 2048, 7, 512, 1, 1, 0},
                             {"3x3/2-512@14", 512, 14, 512, 3, 2, 1},
                             {"1x1/2-256-512@56", 256, 56, 512, 1, 2, 0}};

ConvShape shape_of(const Layer& layer, std::int64_t batch) {
  ConvShape s;
  s.batch = batch;
  s.in_channels = layer.channels;
  s.in_height = s.in_width = layer.size;
  s.out_channels = layer.out_channels;
  s.kernel_h = s.kernel_w = layer.kernel;
  s.stride_h = s.stride_w = layer.stride;
  s.pad_top = s.pad_left = s.pad_bottom = s.pad_right = layer.pad;
  s.out_height = s.out_width = (layer.size + 2 * layer.pad - layer.kernel) / layer.stride + 1;
  return s;
}

#if BATCHWISE_HAS_ONEDNN
namespace dn = dnnl;
using Tag = dn::memory::format_tag;

// A oneDNN primitive in the layouts that it likes best; what is in its memory does not matter.
class Vendor {
 public:
  Vendor(const ConvShape& s, Direction direction)
      : engine_(dn::engine::kind::cpu, 0), stream_(engine_) {
    const auto desc = [](dn::memory::dims dims) {
      return dn::memory::desc(dims, dn::memory::data_type::f32, Tag::any);
    };
    const auto x = desc({s.batch, s.in_channels, s.in_height, s.in_width});
    const auto w = desc({s.out_channels, s.in_channels, s.kernel_h, s.kernel_w});
    const auto y = desc({s.batch, s.out_channels, s.out_height, s.out_width});
    const dn::memory::dims strides{s.stride_h, s.stride_w}, begin{s.pad_top, s.pad_left},
        end{s.pad_bottom, s.pad_right};
    constexpr auto kDirect = dn::algorithm::convolution_direct;
    dn::primitive_attr attributes;
    if (direction == Direction::kForward) {
      dn::post_ops relu;
      relu.append_eltwise(1.0f, dn::algorithm::eltwise_relu, 0.0f, 0.0f);
      attributes.set_post_ops(relu);
    }
    const dn::memory::desc bias({s.out_channels}, dn::memory::data_type::f32, Tag::a);
    const dn::convolution_forward::primitive_desc forward(
        {direction == Direction::kForward ? dn::prop_kind::forward_inference
                                          : dn::prop_kind::forward_training,
         kDirect, x, w, bias, y, strides, begin, end},
        attributes, engine_);
    if (direction == Direction::kForward) {
      primitive_ = dn::convolution_forward(forward);
      add(DNNL_ARG_SRC, forward.src_desc());
      add(DNNL_ARG_WEIGHTS, forward.weights_desc());
      add(DNNL_ARG_BIAS, forward.bias_desc());
      add(DNNL_ARG_DST, forward.dst_desc());
    } else if (direction == Direction::kInputGradient) {
      const dn::convolution_backward_data::primitive_desc gradient(
          {kDirect, x, w, y, strides, begin, end}, engine_, forward);
      primitive_ = dn::convolution_backward_data(gradient);
      add(DNNL_ARG_DIFF_DST, gradient.diff_dst_desc());
      add(DNNL_ARG_WEIGHTS, gradient.weights_desc());
      add(DNNL_ARG_DIFF_SRC, gradient.diff_src_desc());
    } else {
      const dn::convolution_backward_weights::primitive_desc gradient(
          {kDirect, x, w, y, strides, begin, end}, engine_, forward);
      primitive_ = dn::convolution_backward_weights(gradient);
      add(DNNL_ARG_SRC, gradient.src_desc());
      add(DNNL_ARG_DIFF_DST, gradient.diff_dst_desc());
      add(DNNL_ARG_DIFF_WEIGHTS, gradient.diff_weights_desc());
    }
  }
  void run() {
    primitive_.execute(stream_, arguments_);
    stream_.wait();
  }

 private:
  void add(int argument, const dn::memory::desc& desc) {
    memory_.push_back(
        bench::random_floats(static_cast<std::int64_t>(desc.get_size() / sizeof(float)), 1));
    arguments_.emplace(argument, dn::memory(desc, engine_, memory_.back().get()));
  }
  dn::engine engine_;
  dn::stream stream_;
  dn::primitive primitive_;
  std::vector<Floats> memory_;
  std::unordered_map<int, dn::memory> arguments_;
};
#else
struct Vendor {
  Vendor(const ConvShape&, Direction) {}
  void run() {}
};
#endif

Floats buffer(std::size_t bytes_or_floats) {
  return bench::random_floats(static_cast<std::int64_t>(bytes_or_floats), 7);
}

// Ours, ready to run.
class Ours {
 public:
  Ours(const ConvShape& s, ThreadPool& pool)
      : s_(s),
        pool_(pool),
        forward_(prepare_conv_forward(s)),
        input_(prepare_conv_input_gradient(s)),
        weight_(prepare_conv_weight_gradient(s)),
        x_(bench::random_floats(s.batch * s.in_positions() * s.in_channels, 1)),
        y_(bench::random_floats(s.batch * s.out_positions() * s.out_channels, 2)),
        w_(bench::random_floats(s.out_channels * s.group_in() * s.taps(), 3)),
        bias_(bench::random_floats(s.out_channels, 4)),
        packed_(buffer(packed_conv_floats(s))),
        packed_input_(buffer(packed_conv_input_gradient_floats(s))),
        dw_(buffer(conv_weight_gradient_floats(s))),
        scratch_(buffer(std::max({conv_scratch_bytes(forward_, pool.threads()),
                                  conv_scratch_bytes(input_, pool.threads()),
                                  conv_weight_gradient_scratch_bytes(weight_, pool.threads())}) /
                        sizeof(float))) {
    pack_conv_forward(s, w_.get(), packed_.get(), &pool);
    pack_conv_input_gradient(s, w_.get(), packed_input_.get(), &pool);
  }
  void run(Direction direction) {
    if (direction == Direction::kForward) {
      Epilogue epilogue;
      epilogue.bias = bias_.get();
      epilogue.activation = Activation::kRelu;
      run_conv(forward_, x_.get(), packed_.get(), y_.get(), epilogue, pool_, scratch_.get());
    } else if (direction == Direction::kInputGradient) {
      run_conv(input_, y_.get(), packed_input_.get(), x_.get(), {}, pool_, scratch_.get());
    } else {
      run_conv_weight_gradient(weight_, x_.get(), y_.get(), dw_.get(), false, pool_,
                               scratch_.get());
    }
  }

 private:
  const ConvShape s_;
  ThreadPool& pool_;
  ConvPass forward_, input_;
  ConvWeightGradient weight_;
  Floats x_, y_, w_, bias_, packed_, packed_input_, dw_, scratch_;
};

struct Choice {
  std::string direction, isa, layer;
  int threads = 0;         // 0: 1 and 2
  std::int64_t batch = 0;  // 0: 1, 8 and 32
};

void bench_layer(const Layer& layer, std::int64_t batch, const Choice& choice, ThreadPool& pool,
                 double peak) {
  const ConvShape s = shape_of(layer, batch);
  const double operations = 2e-9 * static_cast<double>(batch * s.out_positions() * s.taps()) *
                            static_cast<double>(s.in_channels * s.out_channels);
  Ours ours(s, pool);
  for (int i = 0; i < 3; ++i) {
    const auto direction = static_cast<Direction>(i);
    if (!choice.direction.empty() && choice.direction != kDirections[i]) continue;
    Vendor vendor(s, direction);
    const auto pair = bench::measure_by_turns([&] { ours.run(direction); }, [&] { vendor.run(); },
                                              pool.threads());
    bench::print_cell(kDirections[i], isa_name(current_isa()), pool.threads(),
                      fmt::format("{:17} batch {:3}", layer.name, batch), operations, pair, peak);
  }
}

void run_layers(const Choice& choice, ThreadPool& pool, double peak) {
  for (const Layer& layer : kLayers) {
    if (!choice.layer.empty() && choice.layer != layer.name) continue;
    for (std::int64_t batch : {1, 8, 32}) {
      if (choice.batch != 0 && choice.batch != batch) continue;
      bench_layer(layer, batch, choice, pool, peak);
    }
  }
}

constexpr std::string_view kUsage =
    "bench_conv [forward|input|weight] [avx2|avx512|sse4] [threads N] [batch N] [layer NAME]";

Choice read_choice(int argc, char** argv) {
  Choice choice;
  for (int i = 1; i < argc; ++i) {
    const std::string word = argv[i];
    const auto next = [&] { return std::string(++i < argc ? argv[i] : ""); };
    if (word == "threads") {
      choice.threads = static_cast<int>(bench::parse_number(next(), kUsage));
    } else if (word == "batch") {
      choice.batch = static_cast<std::int64_t>(bench::parse_number(next(), kUsage));
    } else if (word == "layer") {
      choice.layer = next();
    } else if (word == "sse4" || word == "avx2" || word == "avx512") {
      choice.isa = word;
    } else if (word == "forward" || word == "input" || word == "weight") {
      choice.direction = word;
    } else {
      bench::fail_word(word, kUsage);
    }
  }
  return choice;
}

}  // namespace

int run_bench(int argc, char** argv) {
  const Choice choice = read_choice(argc, argv);
  bench::print_method("Convolutions");
  return bench::for_each_isa(choice.isa, [&] {
    bench::for_each_thread_count(
        choice.threads, [&](ThreadPool& pool, double peak) { run_layers(choice, pool, peak); });
  });
}

}  // namespace batchwise::cpu

int main(int argc, char** argv) { return batchwise::cpu::run_bench(argc, argv); }
