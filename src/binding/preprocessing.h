// SPDX-License-Identifier: Apache-2.0
#pragma once
#include <string>
#include <vector>

#include "data/data_source.h"
#include "data/order.h"
#include "graph/graph.h"

namespace batchwise {

// What is done to raw data before the model proper: x becomes (x - mean) * scale, by channel.
struct Preprocessing {
  std::string name;                // "0..1", "mean-std", "mean=...,std=..."
  std::vector<float> mean, scale;  // one value for all, or one a channel
};

// What `normalize` ("none", "0..1", "mean-std", "mean=...,std=..." or "" for the default: 0..1 for
// bytes, none for numbers) means for this data; mean and deviation come from the samples `range`.
// An empty name: nothing is to be done. Throws Error naming what there is.
Preprocessing choose_preprocessing(const std::string& normalize, const DataSource& data,
                                   SampleRange range);

// The mark in a model's metadata; empty where it has no preprocessing.
std::string preprocessing_mark(const Graph& model);

// Puts the preprocessing in front of the model's first input, as nodes, and marks it in the
// metadata. Throws Error where the model has one already: it is never applied twice.
void add_preprocessing(Graph& model, const Preprocessing& preprocessing);

}  // namespace batchwise
