# SPDX-License-Identifier: Apache-2.0
"""Opens the dashboard in headless Chromium before a made-up server, and holds what it shows to what
the server counted. Fails, and never skips.

  dashboard_in_browser.py DASHBOARD.html [unittest's arguments]
"""
import pathlib
import sys
import unittest

from selenium.webdriver.common.by import By
from selenium.webdriver.common.keys import Keys
from selenium.webdriver.support.ui import Select

from browser import set_window, start_browser, wait_for
from fake_server import HOSTILE, FakeServer

WIDTHS = (320, 390, 820, 1400)
CHARTS = 7
READY = "document.getElementById('status').dataset.state === 'ready'"
POINTS = "Chart.getChart(document.querySelector('canvas')).data.datasets[0].data.length"

# For each canvas: how many pixels have a strong hue, which axes and text have not.
HUED = """
return [...document.querySelectorAll("canvas")].map((canvas) => {
  if (!canvas.width || !canvas.height) return 0;
  const copy = Object.assign(document.createElement("canvas"), {width: canvas.width, height: canvas.height});
  const context = copy.getContext("2d", {willReadFrequently: true});
  context.drawImage(canvas, 0, 0);
  const data = context.getImageData(0, 0, copy.width, copy.height).data;
  let hued = 0;
  for (let i = 0; i < data.length; i += 4) {
    const [r, g, b, a] = data.slice(i, i + 4);
    if (a > 100 && Math.max(r, g, b) - Math.min(r, g, b) > 60) hued++;
  }
  return hued;
});
"""


class DashboardTest(unittest.TestCase):
    page = ""

    @classmethod
    def setUpClass(cls):
        cls.server = FakeServer(cls.page)
        cls.browser = start_browser()

    @classmethod
    def tearDownClass(cls):
        cls.browser.quit()
        cls.server.shutdown()

    def setUp(self):
        self.browser.get("about:blank")
        self.server.reset()
        self.browser.get_log("browser")
        set_window(self.browser, 1400)
        self.console_may_say = ()

    def tearDown(self):
        said = [entry["message"] for entry in self.browser.get_log("browser")]
        said = [line for line in said if not any(word in line for word in self.console_may_say)]
        self.assertEqual(said, [])
        self.assertIsNone(self.script("return window.pwned || null"))

    def script(self, text, *arguments):
        return self.browser.execute_script(text, *arguments)

    def open(self, state="ready"):
        self.browser.get(self.server.url)
        self.wait_for(f"document.getElementById('status').dataset.state === '{state}'")

    def open_with_points(self, points=3):
        self.open()
        self.wait_for(f"{POINTS} >= {points}")

    def wait_for(self, script):
        wait_for(self.browser, script, f"{script}: {self.text('body')}")

    def text(self, selector):
        return self.script("const e = document.querySelector(arguments[0]);"
                           "return e === null ? '' : e.innerText.replaceAll('\\u00a0', ' ')", selector)

    def tiles(self):
        return self.script("return Object.fromEntries([...document.querySelectorAll('#tiles > div')]"
                           ".map((tile) => [tile.children[0].textContent, [1, 2].map((i) =>"
                           " tile.children[i].textContent.replaceAll('\\u00a0', ' '))]))")

    def one_model(self):
        self.server.add_model("mlp")
        self.server.decisions = [("mlp", 790.0, "ran 3: nothing else waited"), (
            "mlp", 0, "ran 7: waiting 1.2 ms more would have cost 3 deadlines")]

    # ---- what is shown ----

    def test_figures_are_differences_between_two_snapshots(self):
        self.one_model()
        self.open_with_points()
        tiles = self.tiles()
        # 100 in two seconds; 90 of 90 + 6 late + 4 expired + 10 refused.
        self.assertEqual(tiles["Answers a second"], ["50", "7/s not answered"])
        self.assertEqual(tiles["In time"], ["81.8 %", "5/s late, 5/s refused"])
        # The 99th of 100 ends the second bucket; the 50th is 50/90 of the way from 96 to 104.
        self.assertEqual(tiles["p99 latency"], ["1.02 ms", "p50 100 µs"])
        self.assertEqual(tiles["Mean batch"], ["8.63", "1/s rows of padding"])
        self.assertIn(tiles["Waiting"][0], ("5", "6", "7"))
        self.assertEqual(tiles["Memory"], ["25 %", "16 MiB planned of 64 MiB"])
        self.assertIn("Up 2 h 3 min", self.text("#status_detail"))
        facts = self.text("#facts")
        for value in ("deadline", "1, with 2 threads", "32", "16 MiB of 64 MiB"):
            self.assertIn(value, facts)

    def test_charts_and_their_tables(self):
        self.one_model()
        self.open_with_points(12)
        self.assertEqual(self.script("return document.querySelectorAll('canvas').length"), CHARTS)
        self.assertTrue(all(hued > 60 for hued in self.script(HUED)), self.script(HUED))
        labels = self.script("return [...document.querySelectorAll('canvas')].map((c) => c.ariaLabel)")
        self.assertTrue(all(label and "–" not in label for label in labels), labels)
        bars = self.script("return [...document.querySelectorAll('canvas')].map(Chart.getChart)"
                           ".filter((c) => c.config.type === 'bar').map((c) => ["
                           "c.data.labels, c.data.datasets[0].data])")
        self.assertEqual(len(bars), 1)
        self.assertEqual(bars[0][0], ["1", "7", "32"])
        one, seven, large = bars[0][1]
        self.assertEqual((seven * 4, large * 4), (one * 10, one * 2))
        self.script("document.querySelectorAll('figure details').forEach((d) => { d.open = true; })")
        self.wait_for(f"document.querySelectorAll('figure details table').length === {CHARTS}")
        rows = self.script("return [...document.querySelectorAll('figure details table')].map((t) =>"
                           "[t.caption.textContent, [...t.rows[1].cells].map((c) => "
                           "c.textContent.replaceAll('\\u00a0', ' '))])")
        rows = dict(rows)
        self.assertEqual(rows["Latency"], ["0", "100 µs", "104 µs", "1.02 ms"])
        self.assertEqual(rows["Requests"], ["0", "50", "7"])
        self.assertEqual(rows["Goodput"], ["0", "45", "5", "5"])
        self.assertEqual(rows["Batch sizes"][0], "1")
        self.assertEqual(rows["Batch sizes"][2:], ["25.0 %", "50 µs"])

    def test_decisions_say_why(self):
        self.one_model()
        self.open_with_points()
        newest, older = self.script("return [...document.querySelectorAll('#decisions li')]"
                                    ".map((item) => item.innerText.replaceAll('\\u00a0', ' '))")
        self.assertIn("ran 7: waiting 1.2 ms more would have cost 3 deadlines", newest)
        for part in ("mlp", "2 s ago", "expected 820 µs", "still runs"):
            self.assertIn(part, newest)
        self.assertIn("took 790 µs", older)

    def test_names_are_text(self):
        self.server.add_model(HOSTILE, "<b>2</b>")
        self.server.index.append({"name": HOSTILE + "2", "version": "", "state": "UNAVAILABLE",
                                  "reason": HOSTILE})
        self.server.decisions = [(HOSTILE, 1.0, HOSTILE)]
        self.server.answer = (400, '{"error": "<img src=x onerror=window.pwned=1>"}')
        self.open_with_points()
        self.assertIn(HOSTILE, self.text("#model_title"))
        self.assertIn(HOSTILE, self.text("#decisions li"))
        self.assertIn(HOSTILE, self.text("#models .reason"))
        self.wait_for("document.querySelector('#try button') !== null")
        self.assertIn(HOSTILE, self.script("return document.querySelectorAll('#try legend')[1].textContent"))
        self.console_may_say = ("400 (Bad Request)",)
        self.browser.find_element(By.CSS_SELECTOR, "#try button").click()
        self.wait_for("document.getElementById('answer').textContent.includes('onerror')")
        self.assertEqual(self.script("return document.images.length"), 0)
        self.assertIn("%3Cimg", self.server.bodies[0][0])

    def test_models_are_chosen_with_the_keyboard(self):
        for name in ("first", "second"):
            self.server.add_model(name)
        self.open_with_points()
        self.assertIn("first", self.text("#model_title"))
        buttons = self.browser.find_elements(By.CSS_SELECTOR, "#models button")
        buttons[1].send_keys(Keys.ENTER)
        self.wait_for("document.getElementById('model_title').textContent.includes('second')")
        self.assertEqual(buttons[1].get_attribute("aria-pressed"), "true")
        # A new row in the table does not take the place in it away.
        self.server.index.append({"name": "third", "version": "1", "state": "LOADING", "reason": ""})
        self.wait_for("document.querySelectorAll('#models tbody tr').length === 3")
        self.assertIn("second", self.script("return document.activeElement.textContent"))

    def test_tab_reaches_everything(self):
        self.one_model()
        self.open_with_points()
        self.wait_for("document.querySelector('#try button') !== null")
        self.browser.find_element(By.ID, "pause").click()
        wanted = self.script("return document.querySelectorAll('button, select, input, summary, a').length")
        self.script("document.activeElement.blur(); window.scrollTo(0, 0);"
                    "window.reached = new Set();"
                    "document.addEventListener('focusin', (e) => reached.add(e.target));")
        for _ in range(wanted + 40):
            self.browser.switch_to.active_element.send_keys(Keys.TAB)
        missed = self.script("return [...document.querySelectorAll('button, select, input, summary, a')]"
                             ".filter((e) => !reached.has(e) && e.checkVisibility()).map((e) => e.outerHTML)")
        self.assertEqual(missed, [])

    # ---- states ----

    def test_no_model_then_loading_then_ready(self):
        self.open()
        self.assertIn("No model is loaded", self.text("#empty"))
        self.server.index = [{"name": "mlp", "version": "1", "state": "LOADING", "reason": ""}]
        self.wait_for("document.getElementById('status').dataset.state === 'loading'")
        self.assertIn("being loaded", self.text("#empty"))
        self.server.index = []
        self.server.add_model("mlp")
        self.wait_for(f"{READY} && !document.getElementById('content').hidden")
        self.assertFalse(self.script("return document.getElementById('empty').checkVisibility()"))

    def test_not_ready_says_why(self):
        self.server.ready = False
        self.server.index = [{"name": "mlp", "version": "1", "state": "UNAVAILABLE",
                              "reason": "[onnx] mlp.onnx: 3 bytes are no model"}]
        self.open("not_ready")
        self.assertIn("3 bytes are no model", self.text("#status_detail"))

    def test_server_that_goes_and_comes_back_anew(self):
        self.console_may_say = ("Failed to load resource",)
        self.one_model()
        self.open_with_points()
        for mode in ("gone", "broken"):
            self.server.mode = mode
            self.wait_for("document.getElementById('status').dataset.state === 'gone'")
            self.assertTrue(self.script("return document.body.classList.contains('stale')"))
            # Another process answers now: its clock and its counts are smaller.
            self.server.steps = 0
            self.server.mode = "ok"
            self.wait_for(READY)
            self.wait_for(f"{POINTS} >= 2 && {POINTS} < 8")
            self.assertEqual(self.tiles()["Answers a second"][0], "50")

    def test_key_is_asked_for_and_kept_for_the_tab(self):
        self.console_may_say = ("401 (Unauthorized)",)
        self.one_model()
        self.server.key = "secret-7"
        self.open("key")
        self.assertTrue(self.script("return document.getElementById('key_dialog').open"))
        field = self.browser.find_element(By.ID, "key")
        field.send_keys("wrong", Keys.ENTER)
        self.wait_for("document.getElementById('key_note').textContent.includes('not one of')"
                      "&& document.getElementById('key_dialog').open")
        field.send_keys("secret-7", Keys.ENTER)
        self.wait_for(READY)
        self.browser.refresh()
        self.wait_for(READY)
        self.assertEqual(self.script("return [localStorage.length, document.cookie]"), [0, ""])
        self.script("sessionStorage.clear()")

    def test_pause_stops_looking(self):
        self.one_model()
        self.open_with_points()
        button = self.browser.find_element(By.ID, "pause")
        button.send_keys(Keys.SPACE)
        self.wait_for("document.getElementById('pause').textContent === 'Go on'")
        self.assertEqual(button.get_attribute("aria-pressed"), "true")
        # One look may have been on its way; none follows it.
        self.script("return new Promise((done) => setTimeout(done, 3000))")
        polls = self.server.polls
        self.script("return new Promise((done) => setTimeout(done, 6000))")
        self.assertEqual(self.server.polls, polls)
        button.send_keys(Keys.SPACE)
        self.wait_for("document.getElementById('pause').textContent === 'Pause'")
        self.wait_for(f"{POINTS} >= 5")

    # ---- the form ----

    def send_from_form(self, **fields):
        self.open_with_points()
        self.wait_for("document.querySelector('#try button') !== null")
        for name, value in fields.items():
            field = self.browser.find_element(By.NAME, name)
            if field.tag_name == "select":
                Select(field).select_by_value(value)
            else:
                field.clear()
                field.send_keys(value)
        self.browser.find_element(By.CSS_SELECTOR, "#try button").click()
        self.wait_for("!document.getElementById('answer').hidden")

    def test_form_sends_what_it_says(self):
        self.one_model()
        self.server.answer = (200, '{"model_name": "mlp", "outputs": [{"name": "logits", "datatype": "FP32",'
                                   '"shape": [2, 3], "data": [0.5, 3.0, -1.0, 0.1, 0.2, 0.7]}]}')
        self.send_from_form(rows="2", deadline_ms="2.5", fill_0="zeros", fill_1="json",
                            values_1="[[4], [5]]")
        path, body = self.server.bodies[0]
        self.assertEqual(path, "/v2/models/mlp/versions/1/infer")
        self.assertEqual(body["parameters"], {"timeout": 2500})
        self.assertEqual(body["inputs"], [
            {"name": "x", "datatype": "FP32", "shape": [2, 2, 2], "data": [0] * 8},
            {"name": HOSTILE, "datatype": "INT64", "data": [4, 5], "shape": [2, 1]}])
        tables = self.script("return [...document.querySelectorAll('#answer table')].map((t) =>"
                             "[...t.rows].map((r) => [...r.cells].map((c) => c.textContent.replaceAll('\\u00a0', ' '))))")
        # exp(3) of exp(0.5) + exp(3) + exp(-1); the second row is a distribution as it is.
        self.assertEqual(tables[0][1], [HOSTILE, "3", "90.9 %"])
        self.assertEqual(tables[1][0], ["row 1", "value"])
        self.assertEqual(tables[1][1], ["two", "0.7"])
        self.assertIn("queue 250 µs; compute 1.5 ms", self.text("#timing"))

    def test_form_says_what_is_wrong(self):
        self.one_model()
        self.send_from_form(fill_0="json", values_0="[1, 2, 3]")
        self.assertIn("a row has 4 values, and 3 were given", self.text("#answer"))
        self.send_from_form(fill_0="json", values_0='["a", 2, 3, 4]')
        self.assertIn('not "a"', self.text("#answer"))
        self.assertEqual(self.server.bodies, [])
        self.console_may_say = ("503",)
        self.server.answer = (503, '{"error": "the queue is full: 128 requests wait"}')
        self.send_from_form(fill_0="random")
        self.assertIn("the queue is full: 128 requests wait", self.text("#answer"))
        sent = self.server.bodies[0][1]["inputs"]
        self.assertTrue(all(0 <= value <= 1 for value in sent[0]["data"]) and len(set(sent[0]["data"])) > 1)
        self.assertTrue(all(value in range(10) for value in sent[1]["data"]))

    def test_values_that_json_has_no_word_for(self):
        self.one_model()
        self.server.answer = (200, '{"outputs": [{"name": "y", "datatype": "FP32", "shape": [3], '
                                   '"data": [NaN,-Infinity,1.0]}]}')
        self.send_from_form(rows="1")
        self.assertIn("NaN, -Infinity, 1", self.text("#answer pre"))

    # ---- layout ----

    def test_nothing_moves_and_nothing_is_wider_than_the_window(self):
        self.server.add_model("a_model_with_a_name_" + "that_goes_on_" * 12)
        self.server.add_model("second")
        self.server.decisions = [("m", 5.0, "ran 7: " + "because_" * 40)]
        self.server.answer = (200, '{"outputs": [{"name": "y", "datatype": "FP32", "shape": [1, 4], '
                                   '"data": [1e-30,12345678.0,1.0,2.0]}]}')
        for width in WIDTHS:
            for theme in ("light", "dark"):
                set_window(self.browser, width, theme)
                self.server.steps = 0
                self.open_with_points(2)
                self.wait_for("document.querySelector('#try button') !== null")
                self.script("window.shifts = 0; window.shifted = [];")
                self.wait_for(f"{POINTS} >= 14")
                shown = f"{width} wide, {theme}"
                self.assertLess(self.script("return window.shifts"), 0.001,
                                (shown, self.script("return window.shifted")))
                self.script("document.querySelectorAll('details').forEach((d) => { d.open = true; });"
                            "document.querySelector('#try button').click()")
                self.wait_for("!document.getElementById('answer').hidden")
                wide = self.script("const width = document.documentElement.clientWidth;"
                                   "return [document.documentElement.scrollWidth - width]"
                                   ".filter((over) => over > 0)")
                self.assertEqual(wide, [], shown)
                self.assertTrue(all(hued > 60 for hued in self.script(HUED)), shown)

    def test_a_theme_that_changes_is_followed(self):
        self.one_model()
        self.open_with_points()
        script = "return Chart.getChart(document.querySelector('canvas')).data.datasets[0].borderColor"
        light = self.script(script)
        set_window(self.browser, 1400, "dark")
        self.wait_for(f"(() => {{ {script} }})() !== '{light}'")

    def test_asks_its_own_server_only(self):
        self.one_model()
        self.open_with_points()
        asked = self.script("return performance.getEntriesByType('resource').map((e) => e.name)"
                            ".filter((name) => !name.startsWith('data:'))")
        self.assertTrue(asked)
        self.assertEqual([url for url in asked if not url.startswith(self.server.url)], [])
        self.assertEqual(set(self.server.paths), {"/", "/api/snapshot", "/v2/models/mlp/versions/1"})
        # And what is not the page's own does not run.
        self.console_may_say = ("Content Security Policy",)
        self.script("document.body.insertAdjacentHTML('beforeend', '<button id=evil onclick=\"window.pwned=1\">x</button>');"
                    "document.getElementById('evil').click();")


if __name__ == "__main__":
    DashboardTest.page = pathlib.Path(sys.argv.pop(1)).read_text(encoding="utf-8")
    unittest.main()
