# SPDX-License-Identifier: Apache-2.0
"""The dashboard before `batchwise serve`: what it shows adds up to what was sent, its form gets the
server's answers, and it outlives a restart. Fails, and never skips.

  real_server.py BATCHWISE [SCREENSHOT_FOLDER]
"""
import http.client
import json
import pathlib
import re
import signal
import subprocess
import sys
import tempfile
import threading

from selenium.webdriver.common.by import By
from selenium.webdriver.common.keys import Keys

from browser import screenshot, set_window, start_browser, wait_for

KEY = "a-key-7"
THREADS, REQUESTS, ROWS = 8, 25, 3
STATE = "document.getElementById('status').dataset.state"
# The sum of a chart's rates over time: how many there were.
SUM = """(() => {
  const chart = [...document.querySelectorAll("canvas")].map(Chart.getChart)
      .find((one) => one.data.datasets.some((set) => set.label === "answered"));
  const points = chart.data.datasets[0].data.filter((point) => point.y !== null);
  return points.slice(1).reduce((sum, point, i) => sum + point.y * (point.x - points[i].x), 0);
})()"""
BARS = """
const chart = [...document.querySelectorAll("canvas")].map(Chart.getChart).find((one) => one.config.type === "bar");
return chart.data.labels.map((rows, i) => [Number(rows), chart.data.datasets[0].data[i]]);
"""


class Server:
    def __init__(self, batchwise, folder):
        # A deadline that no load of the machine that tests it can make a request miss.
        self.words = [batchwise, "serve", "digits.onnx", "--p99", "60s", "--api-keys", "keys"]
        self.folder = folder
        self.port = 0

    def start(self):
        self.process = subprocess.Popen(self.words + ["--http", f"127.0.0.1:{self.port}"], cwd=self.folder,
                                        stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
        self.port = int(re.search(r"http 127\.0\.0\.1:(\d+)", self.process.stdout.readline()).group(1))

    def stop(self):
        self.process.send_signal(signal.SIGTERM)
        assert self.process.wait(60) == 0, self.process.returncode

    def infer(self, connection, rows):
        body = json.dumps({"inputs": [{"name": "input", "datatype": "FP32", "shape": [len(rows), 64],
                                       "data": rows}]})
        connection.request("POST", "/v2/models/digits/infer", body, {"Authorization": "Bearer " + KEY})
        answer = connection.getresponse()
        text = answer.read()
        assert answer.status == 200, text
        return json.loads(text)["outputs"][0]["data"]

    def connect(self):
        return http.client.HTTPConnection("127.0.0.1", self.port, timeout=60)

    def send_many(self):
        def send():
            connection = self.connect()
            for _ in range(REQUESTS):
                self.infer(connection, [[0.5] * 64] * ROWS)
        threads = [threading.Thread(target=send) for _ in range(THREADS)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()


def check_counts(browser, server):
    wait_for(browser, "Chart.getChart(document.querySelector('canvas')).data.datasets[0].data.length >= 2", "points")
    server.send_many()
    sent = THREADS * REQUESTS
    wait_for(browser, f"Math.abs({SUM} - {sent}) < 0.5", f"answers add up to {sent}")
    bars = browser.execute_script(BARS)
    rows = sum(size * count for size, count in bars)
    assert rows == sent * ROWS, (rows, bars)
    wait_for(browser, "document.querySelectorAll('#decisions .meta').length > 0", "decisions")
    decision = browser.execute_script("return document.querySelector('#decisions li').innerText")
    assert re.search(r"ran \d+", decision), decision


def check_form(browser, server):
    wait_for(browser, "document.querySelector('#try button') !== null", "a form")
    values = [round(0.01 * i, 2) for i in range(64)]
    wanted = server.infer(server.connect(), [values])
    browser.execute_script("const fill = document.querySelector('#try select'); fill.value = 'json';"
                           "fill.dispatchEvent(new Event('change'));"
                           "document.querySelector('#try textarea').value = arguments[0];", json.dumps(values))
    browser.find_element(By.CSS_SELECTOR, "#try button").click()
    wait_for(browser, "document.querySelector('#answer pre') !== null", "an answer")
    shown = browser.execute_script("return document.querySelector('#answer pre').textContent")
    assert [float(value) for value in shown.split(", ")] == wanted, (shown, wanted)
    best = browser.execute_script("return document.querySelector('#answer tbody th').textContent")
    assert best == f"digit {wanted.index(max(wanted))}", (best, wanted)


def make_model(batchwise, folder):
    """A model that knows the names of its classes."""
    lines = [",".join(["0.5"] * 63 + [str(row), f"digit {row % 10}"]) for row in range(40)]
    (folder / "digits.csv").write_text("\n".join(lines) + "\n", encoding="utf-8")
    for words in (["new", "mlp", "--input", "64", "--classes", "10", "-o", "new.onnx"],
                  ["fit", "new.onnx", "--data", "digits.csv", "--epochs", "1", "-o", "digits.onnx"]):
        subprocess.run([batchwise] + words, cwd=folder, check=True, stdout=subprocess.DEVNULL,
                       stderr=subprocess.DEVNULL)


def check(batchwise, folder, shots):
    make_model(batchwise, folder)
    (folder / "keys").write_text(KEY + "\n", encoding="utf-8")
    server = Server(batchwise, folder)
    server.start()
    browser = start_browser()
    try:
        set_window(browser, 390)
        browser.get(f"http://127.0.0.1:{server.port}/")
        wait_for(browser, f"{STATE} === 'key' && document.getElementById('key_dialog').open", "a question for the key")
        browser.find_element(By.ID, "key").send_keys(KEY, Keys.ENTER)
        wait_for(browser, f"{STATE} === 'ready'", "ready")
        # But for the key that it did not have, the console is empty.
        said = [entry["message"] for entry in browser.get_log("browser")]
        assert all("401" in line for line in said), said
        check_counts(browser, server)
        check_form(browser, server)
        wide = browser.execute_script("return document.documentElement.scrollWidth - document.documentElement.clientWidth")
        assert wide <= 0, wide
        said = [entry["message"] for entry in browser.get_log("browser")]
        assert said == [], said
        if shots:
            for width in (390, 1400):
                set_window(browser, width, "dark" if width == 390 else "light")
                screenshot(browser, pathlib.Path(shots) / f"real-{width}.png", width)
        server.stop()
        wait_for(browser, f"{STATE} === 'gone'", "gone")
        server.start()
        wait_for(browser, f"{STATE} === 'ready'", "ready again")
        check_counts(browser, server)
    finally:
        browser.quit()
        if server.process.poll() is None:
            server.stop()


def main():
    batchwise = str(pathlib.Path(sys.argv[1]).resolve())
    with tempfile.TemporaryDirectory() as folder:
        check(batchwise, pathlib.Path(folder), sys.argv[2] if len(sys.argv) > 2 else None)
    print("the dashboard adds up to what was sent")


if __name__ == "__main__":
    main()
