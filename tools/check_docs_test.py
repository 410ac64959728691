# SPDX-License-Identifier: Apache-2.0
"""Plants each kind of fault that check_docs.py is there for."""
import pathlib
import tempfile
import unittest

import check_docs


def faults(path, text):
    return check_docs.text_faults(pathlib.PurePosixPath(path), text)


class CheckDocsTest(unittest.TestCase):
    def test_joins_continued_lines_and_skips_comments(self):
        text = "```sh\n./dev demo\n# why\na --b \\\n  c\n```\n```\nnot this\n```\n"
        self.assertEqual([" ".join(c.split()) for c in check_docs.shell_commands(text)],
                         ["./dev demo", "a --b c"])

    def test_catches_another_list_of_layers(self):
        layers = "# comment\nbase\ntensor graph\n"
        self.assertEqual(check_docs.layer_faults(layers, "x\n```\nbase\ntensor graph\n```\n"), [])
        self.assertEqual(len(check_docs.layer_faults(layers, "```\nbase\ngraph tensor\n```\n")), 1)

    def test_catches_a_missing_licence_line(self):
        self.assertEqual(faults("a.py", "#!/usr/bin/python3\n# " + check_docs.SPDX + "\n"), [])
        self.assertEqual(len(faults("a.py", "import os\n")), 1)
        self.assertEqual(faults("a.md", "text\n"), [])

    def test_catches_a_path_of_one_machine(self):
        self.assertEqual(len(faults("a.md", "see /home/ann/notes\n")), 1)
        self.assertEqual(len(faults("a.md", 'path "/work/main"\n')), 1)
        self.assertEqual(faults("a.md", "src/home/x and https://a.org/home/x\n"), [])

    def test_catches_a_dead_link(self):
        with tempfile.TemporaryDirectory() as folder:
            root = pathlib.Path(folder)
            (root / "here.md").write_text("x")
            path = pathlib.PurePosixPath("README.md")
            self.assertEqual(check_docs.link_faults(path, "[a](here.md#part)", root), [])
            self.assertEqual(len(check_docs.link_faults(path, "[a](gone.md)", root)), 1)

    def test_catches_a_readme_that_needs_more(self):
        good = "```sh\n./dev demo\n```\n```sh\n./dev test\n```\n"
        self.assertEqual(check_docs.readme_faults(good), [])
        self.assertEqual(len(check_docs.readme_faults("```sh\n./dev demo\n```\n")), 1)
        more = good + "```sh\nbuild/bin/batchwise fit m --data ../shared/data\n```\n"
        self.assertEqual(len(check_docs.readme_faults(more)), 1)

    def test_runs_the_readme_and_reports_a_failing_command(self):
        with tempfile.TemporaryDirectory() as folder:
            root = pathlib.Path(folder)
            for name in ("data", "examples", "include", "build"):
                (root / name).mkdir()
            (root / "README.md").write_text("```sh\n./dev test\ntest -d data\n```\n")
            self.assertEqual(check_docs.run_documents(root, root / "build"), 0)
            (root / "README.md").write_text("```sh\ntest -d gone\n```\n")
            self.assertEqual(check_docs.run_documents(root, root / "build"), 1)

    def test_holds_output_to_what_the_document_says(self):
        text = "```sh\n# why\necho 1\necho 100 of 3.5\n```\n\n```text\n101 of 3.5\n```\n```sh\nd\n```\n"
        self.assertEqual(check_docs.examples(text),
                         [("echo 1", None), ("echo 100 of 3.5", "101 of 3.5\n"), ("d", None)])
        self.assertTrue(check_docs.same_output("a 100,\n0.5 ms", "a 102, 0.5 ms\n"))
        for other in ("a 104, 0.5 ms", "a 100, 0.6 ms", "a 100, 0.5 us", "a 100, 0.5 ms 7"):
            self.assertFalse(check_docs.same_output("a 100,\n0.5 ms", other), other)
        with tempfile.TemporaryDirectory() as folder:
            path = pathlib.Path(folder) / "README.md"
            path.write_text("```sh\necho 100\n```\n```text\n100\n```\n")
            self.assertEqual(check_docs.run_document(path, folder), 1)
            path.write_text("```sh\necho 100\n```\n```text\n90\n```\n")
            self.assertIsNone(check_docs.run_document(path, folder))


if __name__ == "__main__":
    unittest.main()
