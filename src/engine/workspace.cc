// SPDX-License-Identifier: Apache-2.0
#include <chrono>
#include <cstring>

#include "base/check.h"
#include "engine/program.h"

namespace batchwise {

Workspace::Workspace(std::shared_ptr<const CompiledProgram> program,
                     std::shared_ptr<MappedBuffer> arena, std::shared_ptr<ThreadPool> pool,
                     std::span<void* const> states)
    : program_(std::move(program)), arena_(std::move(arena)), pool_(std::move(pool)) {
  BW_CHECK(!program_->plan_only());
  BW_CHECK(states.size() == program_->states().size(), "{} states, not {}",
           program_->states().size(), states.size());
  BW_CHECK(arena_->bytes() >= program_->memory().arena_bytes);
  BW_CHECK(pool_->threads() == program_->threads());
  for (const Place& place : program_->places_) {
    const int at = static_cast<int>(pointers_.size());
    pointers_.push_back(resolve(place, states));
    if (place.kind == PlaceKind::kInput) input_patches_.push_back({at, static_cast<int>(place.at)});
    if (place.kind == PlaceKind::kOutput) {
      output_patches_.push_back({at, static_cast<int>(place.at)});
    }
  }
  for (const auto& copy : program_->copies_) copy_sources_.push_back(resolve(copy.from, states));
}

// NOLINTNEXTLINE(performance-unnecessary-value-param): it is read beside where it would be moved
Workspace::Workspace(std::shared_ptr<const CompiledProgram> program)
    : Workspace(program, std::make_shared<MappedBuffer>(program->memory().arena_bytes),
                std::make_shared<ThreadPool>(program->threads())) {}

void* Workspace::resolve(const Place& place, std::span<void* const> states) const {
  switch (place.kind) {
    case PlaceKind::kPlanned:
      return arena_->data() + place.at;
    case PlaceKind::kConstant:
      // Kernels take their inputs as const; the table is one for inputs and outputs.
      return const_cast<std::byte*>(program_->constants()[static_cast<std::size_t>(place.at)].data);
    case PlaceKind::kState:
      return states[static_cast<std::size_t>(place.at)];
    default:
      return nullptr;
  }
}

void Workspace::run_step(const Step& step, const RunState& state) {
  void* const* places = pointers_.data() + step.first_place;
  step.kernel->run(
      {places, places + step.num_inputs, arena_->data() + step.scratch_offset, *pool_, state});
}

void Workspace::run_timed(const RunState& state) {
  using Clock = std::chrono::steady_clock;
  BW_CHECK(step_us_.size() == program_->steps().size());
  auto before = Clock::now();
  for (std::size_t i = 0; i < step_us_.size(); ++i) {
    run_step(program_->steps()[i], state);
    const auto after = Clock::now();
    step_us_[i] = std::chrono::duration<double, std::micro>(after - before).count();
    before = after;
  }
}

void Workspace::run(std::span<const void* const> inputs, std::span<void* const> outputs,
                    const RunState& state) {
  for (const Patch& patch : input_patches_) {
    pointers_[static_cast<std::size_t>(patch.place)] =
        const_cast<void*>(inputs[static_cast<std::size_t>(patch.argument)]);
  }
  for (const Patch& patch : output_patches_) {
    pointers_[static_cast<std::size_t>(patch.place)] =
        outputs[static_cast<std::size_t>(patch.argument)];
  }
  if (!step_us_.empty()) {
    run_timed(state);
  } else {
    for (const Step& step : program_->steps()) run_step(step, state);
  }
  for (std::size_t i = 0; i < program_->copies_.size(); ++i) {
    const auto& copy = program_->copies_[i];
    const void* from = copy_sources_[i];
    if (copy.from.kind == PlaceKind::kInput) from = inputs[static_cast<std::size_t>(copy.from.at)];
    if (copy.from.kind == PlaceKind::kOutput)
      from = outputs[static_cast<std::size_t>(copy.from.at)];
    void* target = outputs[static_cast<std::size_t>(copy.output)];
    if (copy.bytes > 0) std::memcpy(target, from, static_cast<std::size_t>(copy.bytes));
  }
}

}  // namespace batchwise
