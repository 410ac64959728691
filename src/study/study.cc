// SPDX-License-Identifier: Apache-2.0
#include "study/study.h"

#include <ctime>
#include <filesystem>

#include "base/atomic_file.h"
#include "base/check.h"
#include "data/data_statistics.h"
#include "measure/machine.h"
#include "study/chapters.h"
#include "study/recommend.h"
#include "study/report.h"
#include "study/study_folder.h"
#include "study/study_input.h"
#include "study/study_json.h"

namespace batchwise {
namespace {

// About what the chapters take of a model where no budget is given.
constexpr double kPredictSeconds = 10, kServeSeconds = 9, kFitSeconds = 40;
// Their shares of what is left of a budget when they begin; the rest is for what cannot be bounded.
constexpr double kPredictShare = 0.2, kServeShare = 0.2, kFitShare = 0.75;

std::string now_utc() {
  const std::time_t now = std::time(nullptr);
  std::tm utc{};
  gmtime_r(&now, &utc);
  char text[32];
  std::strftime(text, sizeof(text), "%Y-%m-%d %H:%M:%S", &utc);
  return text;
}

std::string data_name(const DataSpec& spec) {
  std::filesystem::path path(spec.path);
  if (!path.has_filename()) path = path.parent_path();
  return path.filename().string() + (spec.split.empty() ? "" : ":" + spec.split);
}

// The data that comes with Batchwise, whose licence asks that it be named.
std::string attribution_of(const StudyData& data) {
  constexpr std::string_view kDigits =
      "09f66e6debdee2cd2b5ae59e0d6abbb73fc2b0e0185d2e1957e9ebb51e23aa22";
  if (data.identity.rfind(kDigits, 0) != 0) return "";
  return "UCI handwritten digits (E. Alpaydin, C. Kaynak), CC BY 4.0";
}

// A word as a shell takes it.
std::string quoted(const std::string& word) {
  constexpr std::string_view kPlain =
      "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-./:=,+@%";
  if (!word.empty() && word.find_first_not_of(kPlain) == std::string::npos) return word;
  std::string text = "'";
  for (char c : word) text += c == '\'' ? std::string("'\\''") : std::string(1, c);
  return text + "'";
}

std::string data_argument(const DataSpec& spec) {
  return quoted(spec.path + (spec.split.empty() ? "" : ":" + spec.split));
}

std::string beside(const std::string& model, const char* ending) {
  return quoted(std::filesystem::path(model).stem().string() + ending);
}

std::string predict_command(const StudyOptions& options, const ModelInfo& model,
                            std::int64_t batch_size) {
  return fmt::format("batchwise predict {} --data {} --batch-size {} -o {}", quoted(model.path),
                     data_argument(options.data), batch_size, beside(model.path, "-outputs.npy"));
}

std::string fit_command(const StudyOptions& options, const ModelInfo& model,
                        std::int64_t batch_size, double learning_rate, std::int64_t epochs) {
  const FitSettings& fit = options.fit;
  std::string text =
      fmt::format("batchwise fit {} --data {} --batch-size {} --lr {:.4g}", quoted(model.path),
                  data_argument(options.data), batch_size, learning_rate);
  if (epochs > 0) text += fmt::format(" --epochs {}", epochs);
  if (fit.optimizer != "sgd") text += " --optimizer " + quoted(fit.optimizer);
  if (fit.momentum != 0.9) text += fmt::format(" --momentum {}", fit.momentum);
  if (fit.nesterov) text += " --nesterov";
  if (fit.weight_decay > 0) text += fmt::format(" --weight-decay {}", fit.weight_decay);
  if (fit.clip_norm > 0) text += fmt::format(" --clip {}", fit.clip_norm);
  if (!fit.normalize.empty()) text += " --normalize " + quoted(fit.normalize);
  if (!fit.loss.empty()) text += " --loss " + quoted(fit.loss);
  if (fit.ghost_batch > 0) text += fmt::format(" --ghost-batch {}", fit.ghost_batch);
  return text + " -o " + beside(model.path, "-fitted.onnx");
}

void answer_predict(const StudyOptions& options, ModelStudy* study) {
  study->for_predict.use = StudyUse::kPredict;
  if (!study->predict) {
    study->for_predict.absent_reason = "Predict was not asked for";
    return;
  }
  study->for_predict = recommend_predict(*study->predict);
  if (study->for_predict.batch_size) {
    study->for_predict.command =
        predict_command(options, study->model, *study->for_predict.batch_size);
  }
}

std::string serve_command(const StudyOptions& options, const ModelInfo& model,
                          const Recommendation& answer) {
  return fmt::format(
      "batchwise serve {} --profile {} --p99 {:g}ms --instances {} --threads {} --max-batch {}",
      quoted(model.path), quoted((std::filesystem::path(options.output) / "study.json").string()),
      options.p99_us / 1e3, *answer.instances, *answer.threads, *answer.batch_size);
}

void answer_serve(const StudyOptions& options, const std::string& why_not, ModelStudy* study) {
  study->for_serve.use = StudyUse::kServe;
  if (!study->serve) {
    study->for_serve.absent_reason = options.for_serve ? why_not : "Serve was not asked for";
    return;
  }
  study->for_serve = recommend_serve(*study->serve);
  if (study->for_serve.batch_size) {
    study->for_serve.command = serve_command(options, study->model, study->for_serve);
  }
}

void answer_fit(const StudyOptions& options, const StudyData& data, std::int64_t epochs,
                ModelStudy* study) {
  study->for_fit.use = StudyUse::kFit;
  if (!study->fit) {
    study->for_fit.absent_reason =
        data.train->label() ? "Fit was not asked for" : "The data has no labels to fit to";
    return;
  }
  study->for_fit = recommend_fit(*study->fit);
  if (!study->for_fit.batch_size) return;
  for (const FitRow& row : study->fit->rows) {
    if (row.batch_size != *study->for_fit.batch_size) continue;
    study->for_fit.command =
        fit_command(options, study->model, row.batch_size, row.learning_rate, epochs);
  }
}

ModelStudy study_model(const StudyContext& context, const StudiedModel& model,
                       std::size_t models_left) {
  const StudyOptions& options = context.options();
  ModelStudy study;
  study.model = model.info;
  study.memory = memory_chapter(context, model);
  if (options.for_predict) {
    study.predict = predict_chapter(
        context, model, context.chapter_seconds(kPredictSeconds, kPredictShare, models_left));
  }
  std::string why_no_serve;
  if (options.for_serve) {
    study.serve = serve_chapter(context, model,
                                context.chapter_seconds(kServeSeconds, kServeShare, models_left),
                                &why_no_serve);
  }
  std::optional<TrainedModel> trained;
  std::int64_t epochs = 0;
  if (options.for_fit && context.data().train->label()) {
    FitOutcome outcome =
        fit_chapter(context, model, context.chapter_seconds(kFitSeconds, kFitShare, models_left));
    study.fit = std::move(outcome.chapter);
    epochs = outcome.epochs;
    trained = std::move(outcome.trained);
  }
  study.accuracy = accuracy_chapter(context, model, trained);
  answer_predict(options, &study);
  answer_fit(options, context.data(), epochs, &study);
  answer_serve(options, why_no_serve, &study);
  return study;
}

DataInfo describe_data(const StudyOptions& options, const StudyData& data) {
  DataInfo info;
  info.name = data_name(options.data);
  info.train_samples = data.train_range.count();
  info.validation_samples = data.validation_range.count();
  info.classes = static_cast<std::int64_t>(data.train->class_names().size());
  if (info.classes == 0 && data.train->label() && data.train->label()->dtype == DType::kInt64) {
    info.classes = label_range(*data.train, {0, data.train->num_samples()}).max + 1;
  }
  info.attribution = attribution_of(data);
  return info;
}

StudyStore open_store(const StudyOptions& options, const StudyFolder& folder, const StudyData& data,
                      const Machine& machine) {
  StudyStore store = StudyStore::open(folder.store(), options.resume);
  store.require_fact("data", data.identity);
  store.require_fact("machine", machine.key());
  if (!store.fact("started at")) store.set_fact("started at", now_utc());
  store.set_fact("command", options.command);
  return store;
}

// Both or neither: what a full disk has no room for is known before the first is put in place.
void write_result(const StudyOptions& options, const StudyResult& result) {
  const std::filesystem::path folder(options.output);
  AtomicFile json((folder / "study.json").string());
  AtomicFile report((folder / "report.html").string());
  json.write(study_json(result).dump(2) + "\n");
  report.write(render_report(result));
  json.flush();
  report.flush();
  json.finish();
  report.finish();
}

StudyResult study_into(const StudyFolder& folder, const StudyOptions& options,
                       const StudyData& data, const std::vector<StudiedModel>& models) {
  StudyResult result;
  result.machine = describe_machine();
  StudyStore store = open_store(options, folder, data, result.machine);
  const double seconds_before = store.seconds_spent();
  const StudyContext context(options, data, store);
  result.versions = {{"Batchwise", BATCHWISE_VERSION}, {"compiler", __VERSION__}};
  result.data = describe_data(options, data);
  result.started_at = store.fact("started at").value_or("");
  result.command = options.command;
  for (std::size_t m = 0; m < models.size(); ++m) {
    result.models.push_back(study_model(context, models[m], models.size() - m));
  }
  result.seconds_spent = seconds_before + context.seconds();
  write_result(options, result);
  return result;
}

}  // namespace

StudyResult run_study(const StudyOptions& given) {
  const StudyOptions options = checked_options(given);
  const StudyData data = open_study_data(options);
  const std::vector<StudiedModel> models = open_models(options, data);
  StudyFolder folder(options.output, options.resume);
  try {
    StudyResult result = study_into(folder, options, data, models);
    folder.keep();
    return result;
  } catch (const Error& error) {
    // What was finished is there for `resume`.
    if (error.code() == ErrorCode::kInterrupted) folder.keep();
    throw;
  }
}

}  // namespace batchwise
