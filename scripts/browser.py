"""Opens a transcript in Chromium, checks what a reader sees, and takes a picture of it.

Speaks the DevTools protocol over a pipe (JSON, each message ended by a zero byte), so that nothing but Python is needed.
"""

import base64
import json
import os
import pathlib
import subprocess
import sys
import unicodedata

BROWSER, WORK, PICTURE = sys.argv[1], pathlib.Path(sys.argv[2]), pathlib.Path(sys.argv[3])
URL = (WORK / "transcript.html").resolve().as_uri()


class Chromium:
    def __init__(self):
        (from_us, self.to), (self.of, to_us) = os.pipe(), os.pipe()

        def pipes():
            # The browser reads from descriptor 3 and writes to 4. Copies first, or one may cover the other.
            read, write = os.dup(from_us), os.dup(to_us)
            os.dup2(read, 3)
            os.dup2(write, 4)

        # In a container without user namespaces, the sandbox cannot be had; the page is our own.
        flags = ["--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--hide-scrollbars"]
        flags += ["--no-first-run", "--remote-debugging-pipe", f"--user-data-dir={WORK / 'profile'}", "about:blank"]
        self.process = subprocess.Popen(
            [BROWSER, *flags], stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
            close_fds=False, preexec_fn=pipes)
        os.close(from_us)
        os.close(to_us)
        self.number, self.session, self.events, self.rest = 0, None, [], b""

    def receive(self):
        while b"\0" not in self.rest:
            piece = os.read(self.of, 1 << 16)
            if not piece:
                raise SystemExit("browser: Chromium ended unasked")
            self.rest += piece
        message, self.rest = self.rest.split(b"\0", 1)
        return json.loads(message)

    def call(self, method, **parameters):
        self.number += 1
        request = {"id": self.number, "method": method, "params": parameters}
        if self.session:
            request["sessionId"] = self.session
        os.write(self.to, json.dumps(request).encode() + b"\0")
        while True:
            message = self.receive()
            if message.get("id") != self.number:
                self.events.append(message)
            elif "error" in message:
                raise SystemExit(f"browser: {method}: {message['error']}")
            else:
                return message["result"]

    def wait_for(self, method):
        while not any(event["method"] == method for event in self.events):
            self.events.append(self.receive())

    def evaluate(self, expression):
        result = self.call("Runtime.evaluate", expression=expression, returnByValue=True)
        if "exceptionDetails" in result:
            raise SystemExit(f"browser: {result['exceptionDetails']}")
        return result["result"].get("value")


def direction_of(text):
    """That of the first letter that has one."""
    for letter in text:
        kind = unicodedata.bidirectional(letter)
        if kind in ("R", "AL"):
            return "rtl"
        if kind == "L":
            return "ltr"
    return "ltr"


def check(holds, what):
    if not holds:
        failures.append(what)


failures = []
chromium = Chromium()
target = chromium.call("Target.createTarget", url="about:blank")["targetId"]
chromium.session = chromium.call("Target.attachToTarget", targetId=target, flatten=True)["sessionId"]
for domain in ("Page", "Runtime", "Log", "Network"):
    chromium.call(f"{domain}.enable")


def size(width, height):
    chromium.call("Emulation.setDeviceMetricsOverride", width=width, height=height, deviceScaleFactor=1.5, mobile=False)


def scheme(name):
    chromium.call("Emulation.setEmulatedMedia", features=[{"name": "prefers-color-scheme", "value": name}])


# Tall, because days out of sight are not laid out.
size(820, 4000)
scheme("light")
chromium.call("Page.navigate", url=URL)
chromium.wait_for("Page.loadEventFired")

# Each text in its own direction, and laid out from the edge where that begins.
texts = chromium.evaluate("""[...document.querySelectorAll("p.text")].map((p) => {
  const range = document.createRange();
  range.selectNodeContents(p);
  const lines = [...range.getClientRects()], box = p.getBoundingClientRect();
  return {
    text: p.textContent, direction: getComputedStyle(p).direction, side: p.closest("article").classList[0],
    left: Math.min(...lines.map((l) => l.left)) - box.left, right: box.right - Math.max(...lines.map((l) => l.right)),
  };
})""")
for text in texts:
    check(text["direction"] == direction_of(text["text"]), f"the direction of {text}")
    check(abs(text["right" if text["direction"] == "rtl" else "left"]) < 2, f"the edge of {text}")
for side in ("in", "out"):
    for direction in ("rtl", "ltr"):
        found = [text for text in texts if (text["side"], text["direction"]) == (side, direction)]
        check(found, f"no bubble of side {side} is {direction}")
        print(f"browser: bubbles of side {side} with text {direction}: {len(found)}")

# The customer on the left, agents on the right.
sides = chromium.evaluate("""(() => {
  const main = document.querySelector("main"), style = getComputedStyle(main), box = main.getBoundingClientRect();
  const left = box.left + parseFloat(style.paddingLeft), right = box.right - parseFloat(style.paddingRight);
  return [...document.querySelectorAll("article")].map((article) => {
    const box = article.getBoundingClientRect();
    return { side: article.classList[0], left: box.left - left, right: right - box.right };
  });
})()""")
check(len(sides) > 15, "there are few bubbles")
for side in sides:
    near, far = ("left", "right") if side["side"] == "in" else ("right", "left")
    check(abs(side[near]) < 2 and side[far] > 50, f"the side of {side}")

page = chromium.evaluate("""({
  scripts: document.scripts.length, text: document.body.innerText,
  loose: [...document.querySelectorAll("a.reply")].filter((a) => !document.getElementById(a.hash.slice(1))).length,
  replies: document.querySelectorAll("a.reply").length, days: document.querySelectorAll("section.day > h2").length,
})""")
check(page["scripts"] == 0, "there is a script")
check('<script>alert("hi")</script>' in page["text"], "a message of <script> does not show as text")
check(page["replies"] == 3 and page["loose"] == 0, f"replies: {page['replies']}, {page['loose']} lead nowhere")
check(page["days"] == 2, f"{page['days']} days")

# Light and dark, wide and narrow, on paper.
shade = "getComputedStyle(document.body).backgroundColor.match(/\\d+/g).slice(0, 3).reduce((a, b) => a + +b, 0)"
light = chromium.evaluate(shade)
scheme("dark")
dark = chromium.evaluate(shade)
check(light > 600 and dark < 150, f"light {light}, dark {dark}")
scheme("light")
for width in (820, 340):
    size(width, 4000)
    wide = chromium.evaluate("document.scrollingElement.scrollWidth")
    check(wide <= width, f"{wide} pixels wide in a window of {width}")
paper = base64.b64decode(chromium.call("Page.printToPDF", printBackground=True)["data"])
check(paper.startswith(b"%PDF") and len(paper) > 10_000, "it cannot be printed")

# The picture: the beginning, down to the end of the list.
size(820, 4000)
bottom = chromium.evaluate('document.querySelector(".list").closest("article").getBoundingClientRect().bottom + scrollY')
clip = {"x": 0, "y": 0, "width": 820, "height": int(bottom) + 16, "scale": 1}
picture = base64.b64decode(chromium.call("Page.captureScreenshot", format="png", clip=clip)["data"])

for event in chromium.events:
    method, about = event["method"], event.get("params", {})
    if method == "Network.requestWillBeSent":
        check(about["request"]["url"] in (URL, "about:blank"), f"a request to {about['request']['url']}")
    check(method not in ("Log.entryAdded", "Runtime.exceptionThrown", "Runtime.consoleAPICalled"), f"{method}: {about}")
asked = [event for event in chromium.events if event["method"] == "Network.requestWillBeSent"]
check(asked, "not even the page's own request was seen")

chromium.session = None
chromium.call("Browser.close")
chromium.process.wait(timeout=60)
for failure in failures:
    print(f"browser: {failure}", file=sys.stderr)
if failures:
    raise SystemExit(1)
PICTURE.parent.mkdir(exist_ok=True)
PICTURE.write_bytes(picture)
print(f"browser: {len(texts)} texts, {len(sides)} bubbles, no error, no request; the picture is {PICTURE}")
