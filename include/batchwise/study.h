// SPDX-License-Identifier: Apache-2.0
#pragma once
#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "batchwise/dataset.h"
#include "batchwise/fit.h"
#include "batchwise/process.h"

namespace batchwise {

// What to study. A plain value; the defaults are those of the command line.
struct StudySettings {
  std::vector<std::string> models;  // ONNX files
  std::string data;                 // as Dataset::open() takes it
  DatasetOptions data_options;
  std::string output;  // the folder for report.html, study.json and study.sqlite
  bool for_predict = true, for_serve = true, for_fit = true;
  double budget_seconds = 0;  // 0: a minute or so a model
  bool resume = false;
  std::vector<std::int64_t> predict_batch_sizes, fit_batch_sizes;  // empty: the defaults
  double p99_us = 100e3;                                           // that a server is to keep
  std::int64_t seeds = 3;
  std::int64_t epochs = 0;  // of each fit; 0: as many as the time allows
  FitSettings fit;          // how to fit; its epochs, steps, sizes and resources are the study's
  Resources resources;
  std::string command;  // as the user typed it, for the report
};

struct StudyStatus {
  std::string model, chapter, what;
  double done = 0, of = 0;  // of: 0 where it cannot be said
};

struct StudyEvents {
  std::function<void(const StudyStatus&)> on_progress;
  std::function<bool()> should_stop;  // true: Error{kInterrupted}, what was finished is kept
};

struct StudyReport {
  std::string summary;  // for a terminal
  std::string json;     // what study.json has
  std::string path;     // of report.html
};

// Measures the models on the data, chapter by chapter, and writes the report.
BATCHWISE_API StudyReport study(const StudySettings& settings, const StudyEvents& events = {});

}  // namespace batchwise
