# SPDX-License-Identifier: Apache-2.0
"""Headless Chromium that reaches this machine alone, and what the dashboard's tests ask of it."""
import base64

from selenium import webdriver
from selenium.webdriver.chrome.service import Service
from selenium.webdriver.support.ui import WebDriverWait

WAIT_S = 30

# The page looks every second; tests need not wait so long for the next look.
FAST = """
const later = window.setTimeout;
window.setTimeout = (call, ms, ...rest) => later(call, ms >= 90 ? ms / 20 : ms, ...rest);
window.shifts = 0;
window.shifted = [];
new PerformanceObserver((list) => list.getEntries().forEach((entry) => {
  window.shifts += entry.value;
  window.shifted.push(...entry.sources.map((source) => (source.node && (source.node.outerHTML || source.node.textContent) || "").slice(0, 90)));
})).observe({type: "layout-shift", buffered: true});
"""


def start_browser():
    options = webdriver.ChromeOptions()
    options.binary_location = "/usr/bin/chromium"
    for argument in ("--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage",
                     "--hide-scrollbars", "--proxy-server=127.0.0.1:1",
                     "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1",
                     "--disable-background-networking"):
        options.add_argument(argument)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
    browser = webdriver.Chrome(service=Service("/usr/bin/chromedriver"), options=options)
    browser.execute_cdp_cmd("Page.addScriptToEvaluateOnNewDocument", {"source": FAST})
    return browser


def set_window(browser, width, theme="light"):
    browser.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", {
        "width": width, "height": 900, "deviceScaleFactor": 1, "mobile": width < 500})
    browser.execute_cdp_cmd("Emulation.setEmulatedMedia", {
        "media": "screen", "features": [{"name": "prefers-color-scheme", "value": theme}]})


def wait_for(browser, script, what):
    """Waits until the script's value is true."""
    WebDriverWait(browser, WAIT_S, 0.02).until(lambda b: b.execute_script("return " + script), what)


def screenshot(browser, path, width):
    height = browser.execute_script("return document.documentElement.scrollHeight")
    picture = browser.execute_cdp_cmd("Page.captureScreenshot", {
        "captureBeyondViewport": True,
        "clip": {"x": 0, "y": 0, "width": width, "height": height, "scale": 1}})
    with open(path, "wb") as file:
        file.write(base64.b64decode(picture["data"]))
