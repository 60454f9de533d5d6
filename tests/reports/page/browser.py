"""A headless Chromium, driven through chromedriver's own protocol."""

from __future__ import annotations

import base64
import json
import os
import shutil
import subprocess
import time
import urllib.request
from pathlib import Path
from types import TracebackType
from typing import Any, Self

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
DRIVER = shutil.which("chromedriver")
AXE = Path(os.environ.get("AXE_CORE", "build/axe/node_modules/axe-core/axe.min.js")).absolute()


class Browser:
    """One window; `with` ends it."""

    def __init__(self, folder: Path) -> None:
        self._log = folder / "chromedriver.log"
        with self._log.open("w") as log:
            self._process = subprocess.Popen([str(DRIVER), "--port=0"], stdout=log, stderr=subprocess.STDOUT)
        self._port = self._wait_for_port()
        options = {
            "binary": CHROMIUM,
            "args": [
                "--headless=new",
                "--no-sandbox",
                "--disable-gpu",
                "--disable-dev-shm-usage",
                "--hide-scrollbars",
                "--force-color-profile=srgb",
                f"--user-data-dir={folder / 'profile'}",
            ],
        }
        wanted = {
            "browserName": "chrome",
            "goog:chromeOptions": options,
            "goog:loggingPrefs": {"browser": "ALL", "performance": "ALL"},
        }
        answer = self._send("POST", "/session", {"capabilities": {"alwaysMatch": wanted}})
        self._session = f"/session/{answer['sessionId']}"

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            self._send("DELETE", self._session)
        finally:
            self._process.terminate()
            self._process.wait(10)

    def resize(self, width: int, height: int = 900) -> None:
        """Give the page that many CSS pixels."""
        metrics = {"width": width, "height": height, "deviceScaleFactor": 1, "mobile": width < 600}
        self.cdp("Emulation.setDeviceMetricsOverride", **metrics)

    def media(self, **features: str) -> None:
        """Set media features, such as `prefers_color_scheme="dark"`; `media="print"` for the medium."""
        medium = features.pop("media", "")
        found = [{"name": name.replace("_", "-"), "value": value} for name, value in features.items()]
        self.cdp("Emulation.setEmulatedMedia", media=medium, features=found)

    def open(self, url: str) -> None:
        """Load a page anew and wait until its script is done."""
        self._send("POST", f"{self._session}/url", {"url": "about:blank"})
        self._send("POST", f"{self._session}/url", {"url": url})
        self.wait("!document.getElementById('data') || document.documentElement.dataset.ready === 'yes'")

    def run(self, script: str, *arguments: Any) -> Any:
        """Return what a script returns."""
        return self._send("POST", f"{self._session}/execute/sync", {"script": script, "args": list(arguments)})

    def wait(self, condition: str, seconds: float = 30) -> None:
        """Wait until an expression is true."""
        end = time.monotonic() + seconds
        while not self.run(f"return Boolean({condition})"):
            if time.monotonic() > end:
                raise TimeoutError(f"{condition}; console: {self.console()}")
            time.sleep(0.02)

    def press(self, *keys: str) -> None:
        """Press keys one after the other, by their names or characters."""
        for key in keys:
            text = {"text": key} if len(key) == 1 else {"text": "\r"} if key == "Enter" else {}
            code = {"Enter": 13, "Escape": 27, "ArrowDown": 40, "ArrowUp": 38, "Tab": 9}.get(key, 0)
            self.cdp("Input.dispatchKeyEvent", type="keyDown", key=key, windowsVirtualKeyCode=code, **text)
            self.cdp("Input.dispatchKeyEvent", type="keyUp", key=key, windowsVirtualKeyCode=code)

    def console(self) -> list[str]:
        """Return what was written to the console, errors and warnings of the browser included."""
        answer = self._send("POST", f"{self._session}/se/log", {"type": "browser"})
        return [f"{entry['level']}: {entry['message']}" for entry in answer]

    def requests(self) -> list[str]:
        """Return the addresses asked for since the last call."""
        answer = self._send("POST", f"{self._session}/se/log", {"type": "performance"})
        messages = [json.loads(entry["message"])["message"] for entry in answer]
        return [it["params"]["request"]["url"] for it in messages if it["method"] == "Network.requestWillBeSent"]

    def axe(self) -> list[str]:
        """Return what axe-core finds wrong with the page: impact, rule and an element of each."""
        self.run(AXE.read_text("utf-8"))
        found: list[str] = self.run(
            "return axe.run(document, { resultTypes: ['violations'], preload: false })"
            ".then((it) => it.violations.map((each) => `${each.impact}: ${each.id}: ${each.nodes[0].html}`))"
        )
        return found

    def screenshot(self, path: Path, *, whole: bool = False) -> None:
        """Save what is seen, or the whole page, as PNG."""
        answer = self.cdp("Page.captureScreenshot", format="png", captureBeyondViewport=whole)
        path.write_bytes(base64.b64decode(answer["data"]))

    def cdp(self, command: str, **parameters: Any) -> Any:
        """Return the answer to a command of the DevTools protocol."""
        body = {"cmd": command, "params": parameters}
        return self._send("POST", f"{self._session}/goog/cdp/execute", body)

    def _wait_for_port(self) -> int:
        end = time.monotonic() + 20
        while time.monotonic() < end:
            for line in self._log.read_text().splitlines():
                if "started successfully on port" in line:
                    return int(line.rstrip(".").rpartition(" ")[2])
            time.sleep(0.05)
        self._process.kill()
        raise TimeoutError(self._log.read_text())

    def _send(self, method: str, path: str, body: dict[str, Any] | None = None) -> Any:
        request = urllib.request.Request(
            f"http://127.0.0.1:{self._port}{path}",
            data=None if body is None else json.dumps(body).encode(),
            headers={"Content-Type": "application/json"},
            method=method,
        )
        try:
            with urllib.request.urlopen(request, timeout=120) as answer:  # noqa: S310 - likewise
                return json.loads(answer.read())["value"]
        except urllib.error.HTTPError as error:
            raise RuntimeError(error.read().decode()[:2000]) from error
