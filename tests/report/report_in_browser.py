# SPDX-License-Identifier: Apache-2.0
"""Opens a report in headless Chromium with the network off, at three widths, light and dark.

Fails, and never skips, unless the canvases are as many as the page promises, none is blank, nothing
is wider than the window, the console is empty and no string of the user's became markup.

  report_in_browser.py MAKE_SYNTHETIC_REPORT [SCREENSHOT_FOLDER]
  report_in_browser.py REPORT.html [SCREENSHOT_FOLDER]
"""
import base64
import os
import subprocess
import sys
import tempfile

from selenium import webdriver
from selenium.webdriver.chrome.service import Service

WIDTHS = (360, 800, 1280)
THEMES = ("light", "dark")

# For each canvas: its name, its size, and how many pixels differ from the commonest.
CANVASES = """
return [...document.querySelectorAll("canvas")].map((canvas) => {
  const name = canvas.dataset.chart + " of model " + canvas.dataset.model;
  if (!canvas.width || !canvas.height) return [name, 0, 0, 0];
  const data = new Uint32Array(
      canvas.getContext("2d").getImageData(0, 0, canvas.width, canvas.height).data.buffer);
  const counts = new Map();
  for (const pixel of data) counts.set(pixel, (counts.get(pixel) || 0) + 1);
  const commonest = Math.max(...counts.values());
  // What the chart itself draws, axes and text apart: pixels with a strong hue.
  let hued = 0;
  for (const pixel of data) {
    const r = pixel & 255, g = (pixel >> 8) & 255, b = (pixel >> 16) & 255, a = pixel >>> 24;
    if (a > 100 && Math.max(r, g, b) - Math.min(r, g, b) > 60) hued++;
  }
  return [name, canvas.width * canvas.height, data.length - commonest, hued];
});
"""


def start_browser():
    options = webdriver.ChromeOptions()
    options.binary_location = "/usr/bin/chromium"
    for argument in ("--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage",
                     "--hide-scrollbars", "--host-resolver-rules=MAP * ~NOTFOUND",
                     "--proxy-server=127.0.0.1:1", "--disable-background-networking"):
        options.add_argument(argument)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
    return webdriver.Chrome(service=Service("/usr/bin/chromedriver"), options=options)


def show(browser, url, width, theme):
    browser.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", {
        "width": width, "height": 900, "deviceScaleFactor": 1, "mobile": width < 500})
    browser.execute_cdp_cmd("Emulation.setEmulatedMedia", {
        "media": "screen", "features": [{"name": "prefers-color-scheme", "value": theme}]})
    browser.get(url)


def faults_of(browser):
    """What is wrong with the page as it stands: a list of lines."""
    faults = ["console: " + entry["message"] for entry in browser.get_log("browser")]
    promised = int(browser.execute_script(
        "return document.querySelector('meta[name=batchwise-canvases]').content"))
    canvases = browser.execute_script(CANVASES)
    if promised < 1 or len(canvases) != promised:
        faults.append(f"{len(canvases)} canvases, {promised} promised")
    for name, size, drawn, hued in canvases:
        if size == 0 or drawn < 500 or hued < 60:
            faults.append(f"blank canvas: {name}, {drawn} of {size} pixels drawn, {hued} in colour")
    wide = browser.execute_script(
        "return document.documentElement.scrollWidth - document.documentElement.clientWidth")
    if wide > 0:
        faults.append(f"the page is {wide} pixels wider than the window")
    if browser.execute_script("return window.pwned"):
        faults.append("a user's string ran as script")
    requests = browser.execute_script(
        "return performance.getEntriesByType('resource').map((entry) => entry.name)"
        ".filter((name) => !name.startsWith('data:'))")
    faults += ["loads " + name for name in requests]
    # Tables, the axis switch and print must leave the console empty too.
    browser.execute_script("document.querySelectorAll('.switch button').forEach((b) => b.click());"
                           "document.querySelectorAll('details').forEach((d) => { d.open = true; });")
    tables = browser.execute_script(
        "return [...document.querySelectorAll('details table')].map((t) => t.rows.length)")
    if len(tables) != promised or min(tables, default=0) < 2:
        faults.append(f"{len(tables)} tables for {promised} charts; rows: {tables}")
    faults += ["console: " + entry["message"] for entry in browser.get_log("browser")]
    return faults


def print_faults_of(browser):
    faults = ["console: " + entry["message"] for entry in browser.get_log("browser")]
    paper = browser.execute_script("return getComputedStyle(document.body).backgroundColor")
    if paper != "rgb(255, 255, 255)":
        faults.append(f"the paper is {paper}")
    tables = browser.execute_script(
        "return [...document.querySelectorAll('details table')].filter((t) => t.checkVisibility())"
        ".map((t) => t.caption.textContent + t.closest('article').id)")
    if not tables or len(tables) != len(set(tables)):
        faults.append(f"tables shown: {tables}")
    for table, over in browser.execute_script(
            "return [...document.querySelectorAll('details table')].filter((t) => t.checkVisibility())"
            ".map((t) => [t.caption.textContent, t.scrollWidth - t.parentElement.clientWidth])"):
        if over > 0:
            faults.append(f"the table '{table}' is {over} pixels wider than its page")
    return faults


def screenshot(browser, path, width):
    height = browser.execute_script("return document.documentElement.scrollHeight")
    picture = browser.execute_cdp_cmd("Page.captureScreenshot", {
        "captureBeyondViewport": True,
        "clip": {"x": 0, "y": 0, "width": width, "height": height, "scale": 1}})
    with open(path, "wb") as file:
        file.write(base64.b64decode(picture["data"]))


def check(browser, name, html, folder):
    faults = []
    for width in WIDTHS:
        for theme in THEMES:
            show(browser, "file://" + html, width, theme)
            if folder:
                screenshot(browser, os.path.join(folder, f"{name}-{width}-{theme}.png"), width)
            faults += [f"{name}, {width} wide, {theme}: {fault}" for fault in faults_of(browser)]
    # Printed: light, whatever the theme, and each table once.
    show(browser, "file://" + html, 718, "dark")
    browser.execute_cdp_cmd("Emulation.setEmulatedMedia", {
        "media": "print", "features": [{"name": "prefers-color-scheme", "value": "dark"}]})
    browser.execute_script("dispatchEvent(new Event('beforeprint'))")
    faults += [f"{name}, printed: {fault}" for fault in print_faults_of(browser)]
    if folder:
        screenshot(browser, os.path.join(folder, name + "-print.png"), 718)
        pdf = browser.execute_cdp_cmd("Page.printToPDF", {"paperWidth": 8.27, "paperHeight": 11.69,
                                                          "printBackground": True})
        with open(os.path.join(folder, name + ".pdf"), "wb") as file:
            file.write(base64.b64decode(pdf["data"]))
    return faults


def check_that_faults_are_found(browser, html):
    """The checks must fail where a page is broken: each planted fault is to be seen."""
    with open(html, encoding="utf-8") as file:
        page = file.read()
    plants = {
        "blank canvas": page.replace("const draw_all =", "charts.slice(-1).forEach(() => {});"
                                     "CanvasRenderingContext2D.prototype.stroke = () => {};"
                                     "CanvasRenderingContext2D.prototype.fill = () => {};"
                                     "CanvasRenderingContext2D.prototype.fillText = () => {};"
                                     "const draw_all ="),
        "promised": page.replace('name="batchwise-canvases" content="', 'name="batchwise-canvases" content="1'),
        "console": page.replace("</body>", "<script>console.error('planted')</script></body>"),
    }
    faults = []
    for sign, broken in plants.items():
        assert broken != page, sign
        path = html + ".broken.html"
        with open(path, "w", encoding="utf-8") as file:
            file.write(broken)
        show(browser, "file://" + path, 800, "light")
        if not any(sign in fault for fault in faults_of(browser)):
            faults.append(f"a planted fault was not found: {sign}")
    return faults


def main():
    target = os.path.abspath(sys.argv[1])
    folder = sys.argv[2] if len(sys.argv) > 2 else None
    if folder:
        os.makedirs(folder, exist_ok=True)
    browser = start_browser()
    try:
        with tempfile.TemporaryDirectory() as temporary:
            if target.endswith(".html"):
                faults = check(browser, "report", target, folder)
            else:
                faults = []
                for name in ("synthetic", "hostile"):
                    html = os.path.join(temporary, name + ".html")
                    subprocess.run([target, html, name], check=True, stdout=subprocess.DEVNULL)
                    faults += check(browser, name, html, folder)
                faults += check_that_faults_are_found(browser, os.path.join(temporary, "synthetic.html"))
    finally:
        browser.quit()
    for fault in faults:
        print(fault)
    print(f"{len(faults)} faults")
    return 1 if faults else 0


if __name__ == "__main__":
    sys.exit(main())
