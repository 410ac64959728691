// SPDX-License-Identifier: Apache-2.0
// Dense layers and weight gradients against oneDNN and against the machine's peak, for each
// instruction set:  bench_dense [forward|gradient|error] [avx2|avx512] [threads] [K N]
#include <fmt/format.h>

#include <string>
#include <vector>

#include "../bench/bench.h"
#include "../bench/instruction_sets.h"
#include "backend/cpu/dense.h"

namespace batchwise::cpu {
namespace {
using bench::Floats;

struct Shape {
  std::int64_t k, n;
};
constexpr Shape kShapes[] = {{784, 512}, {512, 512},   {512, 10},   {3136, 1024},
                             {1024, 10}, {2048, 1000}, {4096, 4096}};
constexpr std::int64_t kRows[] = {1, 2, 8, 32, 128, 512};

#if BATCHWISE_HAS_ONEDNN
namespace dn = dnnl;
using Tag = dn::memory::format_tag;

dn::memory::desc plain(std::int64_t rows, std::int64_t columns, Tag tag) {
  return {{rows, columns}, dn::memory::data_type::f32, tag};
}

// A oneDNN primitive with its memory, ready to run.
class Vendor {
 public:
  Vendor() : engine_(dn::engine::kind::cpu, 0), stream_(engine_) {}

  void prepare_forward(std::int64_t m, const Shape& s, float* a, float* b, float* bias, float* c) {
    dn::primitive_attr attributes;
    dn::post_ops relu;
    relu.append_eltwise(1.0f, dn::algorithm::eltwise_relu, 0.0f, 0.0f);
    attributes.set_post_ops(relu);
    const auto bias_desc = dn::memory::desc({s.n}, dn::memory::data_type::f32, Tag::a);
    const dn::inner_product_forward::primitive_desc desc(
        {dn::prop_kind::forward_inference, plain(m, s.k, Tag::ab), plain(s.n, s.k, Tag::any),
         bias_desc, plain(m, s.n, Tag::ab)},
        attributes, engine_);
    dn::memory from(plain(s.n, s.k, Tag::ba), engine_, b);
    dn::memory weights(desc.weights_desc(), engine_);
    dn::reorder(from, weights).execute(stream_, from, weights);
    primitive_ = dn::inner_product_forward(desc);
    arguments_ = {{DNNL_ARG_SRC, dn::memory(plain(m, s.k, Tag::ab), engine_, a)},
                  {DNNL_ARG_WEIGHTS, weights},
                  {DNNL_ARG_BIAS, dn::memory(bias_desc, engine_, bias)},
                  {DNNL_ARG_DST, dn::memory(plain(m, s.n, Tag::ab), engine_, c)}};
  }

  // dW [k][n], overwritten.
  void prepare_gradient(std::int64_t m, const Shape& s, float* x, float* dy, float* dw) {
    const auto weights = plain(s.n, s.k, Tag::ba);
    const dn::inner_product_forward::primitive_desc hint(
        {dn::prop_kind::forward_training, plain(m, s.k, Tag::ab), weights, plain(m, s.n, Tag::ab)},
        engine_);
    const dn::inner_product_backward_weights::primitive_desc desc(
        {plain(m, s.k, Tag::ab), weights, plain(m, s.n, Tag::ab)}, engine_, hint);
    primitive_ = dn::inner_product_backward_weights(desc);
    arguments_ = {{DNNL_ARG_SRC, dn::memory(plain(m, s.k, Tag::ab), engine_, x)},
                  {DNNL_ARG_DIFF_DST, dn::memory(plain(m, s.n, Tag::ab), engine_, dy)},
                  {DNNL_ARG_DIFF_WEIGHTS, dn::memory(weights, engine_, dw)}};
  }

  void run() {
    primitive_.execute(stream_, arguments_);
    stream_.wait();
  }

 private:
  dn::engine engine_;
  dn::stream stream_;
  dn::primitive primitive_;
  std::unordered_map<int, dn::memory> arguments_;
};

#else
struct Vendor {
  void prepare_forward(std::int64_t, const Shape&, float*, float*, float*, float*) {}
  void prepare_gradient(std::int64_t, const Shape&, float*, float*, float*) {}
  void run() {}
};
#endif

void print_cell(const char* what, const Shape& s, std::int64_t rows, int threads,
                const bench::Pair& pair, double peak) {
  bench::print_cell(what, isa_name(current_isa()), threads,
                    fmt::format("{:5} x {:<5} rows {:4}", s.k, s.n, rows),
                    2e-9 * static_cast<double>(rows * s.k * s.n), pair, peak);
}

struct Buffers {
  std::int64_t rows = kRows[std::size(kRows) - 1];
  Floats a, b, bias, c, c_theirs, packed, scratch;
  explicit Buffers(const Shape& s, ThreadPool& pool)
      : a(bench::random_floats(rows * s.k, 1)),
        b(bench::random_floats(s.k * s.n, 2)),
        bias(bench::random_floats(s.n, 3)),
        c(bench::random_floats(rows * s.n, 4)),
        c_theirs(bench::random_floats(rows * s.n, 4)),
        packed(bench::random_floats(static_cast<std::int64_t>(packed_matrix_floats(s.k, s.n)), 5)),
        scratch(bench::random_floats(
            static_cast<std::int64_t>(
                std::max(dense_scratch_floats(rows, s.n, s.k, pool.threads()),
                         weight_gradient_scratch_floats(rows, s.k, s.n, pool.threads()))),
            6)) {
    pack_matrix(b.get(), s.k, s.n, s.n, 1, packed.get(), pool);
  }
};

DenseJob forward_job(const Shape& s, std::int64_t rows, Buffers& buffers) {
  DenseJob job{rows, s.n, s.k, buffers.a.get(), s.k, buffers.packed.get(), buffers.c.get(),
               s.n,  {}};
  job.epilogue.bias = buffers.bias.get();
  job.epilogue.activation = Activation::kRelu;
  return job;
}

void bench_forward(const Shape& s, ThreadPool& pool, double peak) {
  Buffers buffers(s, pool);
  for (std::int64_t rows : kRows) {
    const DenseJob job = forward_job(s, rows, buffers);
    Vendor vendor;
    vendor.prepare_forward(rows, s, buffers.a.get(), buffers.b.get(), buffers.bias.get(),
                           buffers.c_theirs.get());
    const auto pair =
        bench::measure_by_turns([&] { dense_forward(job, pool, buffers.scratch.get()); },
                                [&] { vendor.run(); }, pool.threads());
    print_cell("forward", s, rows, pool.threads(), pair, peak);
  }
}

void bench_gradient(const Shape& s, ThreadPool& pool, double peak) {
  Buffers buffers(s, pool);
  const Floats dw = bench::random_floats(s.k * s.n, 7);
  const Floats dw_theirs = bench::random_floats(s.k * s.n, 7);
  for (std::int64_t rows : kRows) {
    WeightGradientJob job{rows,     s.k, s.n,  buffers.a.get(), s.k, buffers.c.get(), s.n,
                          dw.get(), s.n, false};
    Vendor vendor;
    vendor.prepare_gradient(rows, s, buffers.a.get(), buffers.c.get(), dw_theirs.get());
    const auto pair =
        bench::measure_by_turns([&] { weight_gradient(job, pool, buffers.scratch.get()); },
                                [&] { vendor.run(); }, pool.threads());
    print_cell("gradient", s, rows, pool.threads(), pair, peak);
  }
}

// Both against sums in double precision, before bias and activation would hide anything.
void bench_error(const Shape& s, ThreadPool& pool) {
  const std::int64_t rows = 16;
  Buffers buffers(s, pool);
  std::fill_n(buffers.bias.get(), s.n, 1000.0f);
  DenseJob job = forward_job(s, rows, buffers);
  job.epilogue = {};
  dense_forward(job, pool, buffers.scratch.get());
  std::fill_n(buffers.bias.get(), s.n, 0.0f);
  Vendor vendor;
  vendor.prepare_forward(rows, s, buffers.a.get(), buffers.b.get(), buffers.bias.get(),
                         buffers.c_theirs.get());
  vendor.run();
  std::vector<double> exact(static_cast<std::size_t>(rows * s.n));
  std::vector<float> ours, theirs;
  std::vector<double> positive;
  for (std::int64_t m = 0; m < rows; ++m) {
    for (std::int64_t n = 0; n < s.n; ++n) {
      double sum = 0;
      for (std::int64_t k = 0; k < s.k; ++k) {
        sum += static_cast<double>(buffers.a[m * s.k + k]) * buffers.b[k * s.n + n];
      }
      if (sum <= 1) continue;  // where oneDNN's Relu cut nothing
      positive.push_back(sum);
      ours.push_back(buffers.c[m * s.n + n]);
      theirs.push_back(buffers.c_theirs[m * s.n + n]);
    }
  }
  const auto count = static_cast<std::int64_t>(positive.size());
  fmt::print("error    {:6} {:5} x {:<5} relative rms against double: ours {:.2e}  oneDNN {:.2e}\n",
             isa_name(current_isa()), s.k, s.n,
             bench::relative_rms(ours.data(), positive.data(), count),
             bench::relative_rms(theirs.data(), positive.data(), count));
}

struct Choice {
  std::string what, isa;
  int threads = 0;  // 0: 1 and 2
  std::vector<Shape> shapes{std::begin(kShapes), std::end(kShapes)};
};

void run_shapes(const Choice& choice, ThreadPool& pool, double peak) {
  for (const Shape& s : choice.shapes) {
    if (choice.what.empty() || choice.what == "forward") bench_forward(s, pool, peak);
    if (choice.what.empty() || choice.what == "gradient") bench_gradient(s, pool, peak);
    if ((choice.what.empty() && pool.threads() == 1) || choice.what == "error")
      bench_error(s, pool);
  }
}

}  // namespace

int run_bench(int argc, char** argv) {
  Choice choice;
  std::vector<std::int64_t> numbers;
  for (int i = 1; i < argc; ++i) {
    const std::string word = argv[i];
    if (word == "avx2" || word == "avx512" || word == "sse4") {
      choice.isa = word;
    } else if (word == "forward" || word == "gradient" || word == "error") {
      choice.what = word;
    } else {
      numbers.push_back(static_cast<std::int64_t>(bench::parse_number(
          word, "bench_dense [forward|gradient|error] [avx2|avx512|sse4] [threads] [K N]...")));
    }
  }
  if (numbers.size() % 2 == 1) {
    choice.threads = static_cast<int>(numbers[0]);
    numbers.erase(numbers.begin());
  }
  if (numbers.size() >= 2) choice.shapes.clear();
  for (std::size_t i = 0; i + 1 < numbers.size(); i += 2) {
    choice.shapes.push_back({numbers[i], numbers[i + 1]});
  }
  bench::print_method("Dense layers");
  return bench::for_each_isa(choice.isa, [&] {
    bench::for_each_thread_count(
        choice.threads, [&](ThreadPool& pool, double peak) { run_shapes(choice, pool, peak); });
  });
}

}  // namespace batchwise::cpu

int main(int argc, char** argv) { return batchwise::cpu::run_bench(argc, argv); }
