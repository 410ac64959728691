// SPDX-License-Identifier: Apache-2.0
#pragma once
#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "batchwise/fit.h"
#include "batchwise/process.h"
#include "data/data_spec.h"
#include "study/study_result.h"

namespace batchwise {

// Where a study is; `of` is 0 where the chapter cannot say.
struct StudyProgress {
  std::string model;
  std::string chapter;  // "Memory", "Predict", "Serve", "Fit", "Accuracy"
  std::string what;     // "batch 32, seed 1"
  double done = 0, of = 0;
};

// What to study. A plain value; the defaults are those of the command line.
struct StudyOptions {
  std::vector<std::string> models;  // ONNX files
  DataSpec data;
  std::string output;  // the folder; made where it is missing
  bool for_predict = true, for_serve = true, for_fit = true;
  double budget_seconds = 0;  // of the whole study; 0: a minute or so a model
  bool resume = false;
  std::vector<std::int64_t> predict_batch_sizes;  // empty: 1 to 512 in powers of two
  std::vector<std::int64_t> fit_batch_sizes;      // empty: 1, 8, 32, 128, 512
  double p99_us = 100e3;                          // that a server is to keep
  std::int64_t seeds = 3;
  std::int64_t epochs = 0;  // of each fit; 0: as many as the time allows, at most 10
  // How to fit. The learning rate is that of batch 32, others are scaled by the square root;
  // epochs, steps, batch size, micro-batch and resources are the study's.
  FitSettings fit;
  Resources resources;
  std::string command;  // as the user typed it, for the report
  // Called now and then from the calling thread.
  std::function<void(const StudyProgress&)> on_progress;
  // True ends the study with Error{kInterrupted}; what was finished is kept for `resume`.
  std::function<bool()> should_stop;
};

// Studies the models on the data: writes report.html, study.json and study.sqlite into the folder
// and returns what they say. All input is checked before the folder is touched; where it fails all
// the same (a full disk), the folder is left as it was found.
StudyResult run_study(const StudyOptions& options);

}  // namespace batchwise
