// SPDX-License-Identifier: Apache-2.0
#include "cli/fit_flags.h"

namespace batchwise {

void add_fit_flags(CLI::App& app, FitSettings& s) {
  app.add_option("--loss", s.loss, "cross-entropy or mse; default: by the labels")
      ->type_name("NAME");
  app.add_option("--metric", s.metric, "accuracy or mae; default: by the loss")->type_name("NAME");
  app.add_option("--optimizer", s.optimizer, "sgd (default) or adam")->type_name("NAME");
  app.add_option("--lr", s.learning_rate, "learning rate; default 0.01, adam 0.001")
      ->type_name("X");
  app.add_option("--momentum", s.momentum, "of sgd; default 0.9")->type_name("X");
  app.add_flag("--nesterov", s.nesterov, "Nesterov's momentum");
  app.add_option("--weight-decay", s.weight_decay, "not on biases and normalizations; default 0")
      ->type_name("X");
  app.add_option("--clip", s.clip_norm, "largest norm of the gradient; default: none")
      ->type_name("X");
  app.add_option("--last-batch", s.last_batch, "weighted (default), mean or drop")
      ->type_name("NAME");
  app.add_option("--ghost-batch", s.ghost_batch, "batch normalization over groups of N samples")
      ->type_name("N");
  app.add_option("--train", s.train, "train only what matches")
      ->type_name("GLOB")
      ->allow_extra_args(false)
      ->take_all();
  app.add_option("--freeze", s.freeze, "leave what matches as it is")
      ->type_name("GLOB")
      ->allow_extra_args(false)
      ->take_all();
  app.add_option("--normalize", s.normalize,
                 "none, 0..1, mean-std or mean=M,std=S; default: 0..1 for bytes")
      ->type_name("HOW");
  app.add_option("--output", s.output_name, "the output that the loss is of; default: the first")
      ->type_name("NAME");
  app.add_option("--validation-split", s.validation_split,
                 "share of the data, drawn by chance, to validate with, where it has no test split")
      ->type_name("F");
}

}  // namespace batchwise
