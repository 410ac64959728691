# SPDX-License-Identifier: Apache-2.0
"""Plants each kind of fault that check_layers.py is there for."""
import pathlib
import unittest

import check_layers

LAYERS = check_layers.read_layers("""# comment
include/batchwise base
tensor measure
backend
backend/reference backend/cpu
engine data
study
""")


def faults(path, *lines):
    return check_layers.faults_of(pathlib.PurePosixPath(path), "\n".join(lines), LAYERS)


class CheckLayersTest(unittest.TestCase):
    def test_lets_through_own_and_earlier_folders(self):
        self.assertEqual(faults("src/engine/run.cc", '#include "engine/run.h"',
                                '#include "base/check.h"', '#include "backend/kernel.h"',
                                '#include "batchwise/error.h"', "#include <vector>"), [])

    def test_catches_a_later_folder(self):
        found = faults("src/tensor/shape.cc", "", '#include "engine/run.h"')
        self.assertEqual(len(found), 1)
        self.assertIn("src/tensor/shape.cc:2:", found[0])
        self.assertIn("tensor may not see engine", found[0])

    def test_catches_a_folder_on_the_same_line(self):
        self.assertIn("may not see", faults("src/data/a.cc", '#include "engine/run.h"')[0])
        self.assertIn("may not see",
                      faults("src/backend/cpu/a_test.cc", '#include "backend/reference/a.h"')[0])

    def test_tells_a_nested_folder_from_the_one_around_it(self):
        self.assertEqual(faults("src/backend/cpu/a.cc", '#include "backend/kernel.h"'), [])
        self.assertIn("concrete", faults("src/backend/table.cc", '#include "backend/cpu/a.h"')[0])

    def test_only_one_file_names_a_concrete_backend(self):
        line = '#include "backend/cpu/kernels.h"'
        self.assertEqual(faults("src/engine/backends.cc", line), [])
        self.assertEqual(faults("src/engine/prepare_test.cc", line), [])
        self.assertIn("backends.cc", faults("src/engine/prepare.cc", line)[0])

    def test_catches_relative_and_unknown_paths(self):
        self.assertIn("full path", faults("src/engine/a.cc", '#include "run.h"')[0])
        self.assertIn("full path", faults("src/engine/a.cc", '#include "../base/check.h"')[0])
        self.assertIn("does not name", faults("src/utils/a.cc", '#include "base/check.h"')[0])

    def test_catches_a_vendor_header_outside_its_folder(self):
        self.assertEqual(faults("src/backend/cpu/a.cc", "#include <hwy/highway.h>"), [])
        for header in ("hwy/highway.h", "dnnl.hpp", "onnx/onnx_pb.h", "sqlite3.h", "png.h"):
            self.assertEqual(len(faults("src/engine/a.cc", f"#include <{header}>")), 1, header)

    def test_catches_a_test_header_in_code(self):
        self.assertEqual(faults("src/tensor/a_test.cc", "#include <gtest/gtest.h>"), [])
        self.assertEqual(len(faults("src/tensor/a.cc", "#include <gtest/gtest.h>")), 1)

    def test_holds_the_public_headers_to_the_standard_library(self):
        self.assertEqual(faults("include/batchwise/a.h", "#include <span>",
                                '#include "batchwise/error.h"'), [])
        self.assertEqual(len(faults("include/batchwise/a.h", "#include <fmt/format.h>")), 1)
        self.assertEqual(len(faults("include/batchwise/a.h", '#include "base/check.h"')), 1)

    def test_holds_clients_to_the_public_headers(self):
        self.assertEqual(faults("cli/main.cc", '#include "batchwise/model.h"',
                                '#include "cli/table.h"'), [])
        self.assertEqual(len(faults("cli/main.cc", '#include "engine/run.h"')), 1)
        self.assertEqual(faults("tests/bits/a_test.cc", '#include "engine/run.h"'), [])

    def test_the_repository_is_clean(self):
        self.assertEqual(check_layers.check(check_layers.ROOT), [])


if __name__ == "__main__":
    unittest.main()
