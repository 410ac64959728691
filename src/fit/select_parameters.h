// SPDX-License-Identifier: Apache-2.0
#pragma once
#include "fit/training_graph.h"

namespace batchwise {

// Turns the constants that are trained, and the running moments beside them, into states of
// `model.graph`, and lists them. A constant counts as a parameter where an op row says that its
// slot is one; an Add's constant only if it is a bias: one value a channel, after a dense layer or
// a convolution.
void select_parameters(TrainableModel& model, const TrainingSelection& selection);

// "*" stands for any characters, "?" for one.
bool matches_glob(const std::string& pattern, const std::string& text);

}  // namespace batchwise
