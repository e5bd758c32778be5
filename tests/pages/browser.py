"""A real browser without a window, driven over the DevTools protocol; what it complains of is kept."""
from __future__ import annotations

import asyncio
import base64
import itertools
import json
import os
import re
import signal
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from subprocess import DEVNULL
from typing import Any, NamedTuple
from urllib.parse import urlsplit

import aiohttp

from tests.support import until

PROGRAM = "chromium-headless-shell"
OPTIONS = ("--remote-debugging-port=0", "--no-first-run", "--disable-gpu", "--disable-dev-shm-usage",
           "--disable-background-networking", "--disable-component-update", "--disable-sync", "--lang=en",
           "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1")
SECONDS = 20.0
KEYS = {"Tab": 9, "Enter": 13, "Escape": 27, " ": 32}


class Complaint(NamedTuple):
    """What the browser wrote to its console."""

    source: str
    text: str
    url: str


class Refused(AssertionError):
    """The browser did not do what it was told."""


class Gone(Refused):
    """The page that was asked has just been left for another one."""


def _transfer(files: dict[str, str]) -> str:
    """JavaScript for a transfer that holds these files."""
    return (f"{json.dumps(list(files.items()))}.reduce((all, [name, text]) => "
            "(all.items.add(new File([text], name, {type: 'text/x-python'})), all), new DataTransfer())")


class Page:
    """The one tab, at the site."""

    def __init__(self, socket: aiohttp.ClientWebSocketResponse, site: str) -> None:
        self._socket, self.site = socket, site
        self._numbers = itertools.count(1)
        self._waiting: dict[int, asyncio.Future[Any]] = {}
        self.complaints: list[Complaint] = []
        self.refusals: list[tuple[str, int]] = []  # paths and statuses of 400 and above, which the test expects
        self.requests: list[tuple[str, str]] = []  # method and URL, in order
        self.loads = 0

    async def read(self) -> None:
        """Reads what the browser says, until it ends."""
        async for message in self._socket:
            told = json.loads(message.data)
            if "id" in told:
                self._waiting.pop(told["id"]).set_result(told)
            else:
                self._hear(told["method"], told["params"])

    def _hear(self, event: str, told: dict[str, Any]) -> None:
        if event == "Page.loadEventFired":
            self.loads += 1
        elif event == "Network.requestWillBeSent":
            self.requests.append((told["request"]["method"], told["request"]["url"]))
        elif event == "Network.webSocketCreated":
            self.requests.append(("SOCKET", told["url"]))
        elif event == "Log.entryAdded" and told["entry"]["level"] != "verbose":
            entry = told["entry"]
            self.complaints.append(Complaint(entry["source"], entry["text"], entry.get("url", "")))
        elif event == "Runtime.exceptionThrown":
            self.complaints.append(Complaint("exception", json.dumps(told["exceptionDetails"]), ""))
        elif event == "Runtime.consoleAPICalled":
            self.complaints.append(Complaint("console", json.dumps(told["args"]), ""))

    async def send(self, method: str, **parameters: Any) -> Any:
        """One command; its result."""
        number = next(self._numbers)
        future = self._waiting[number] = asyncio.get_running_loop().create_future()
        await self._socket.send_json({"id": number, "method": method, "params": parameters})
        async with asyncio.timeout(SECONDS):
            told = await future
        if "error" in told:
            was_left = re.search("navigated or closed|context", told["error"]["message"])
            raise (Gone if was_left else Refused)(f"{method}: {told['error']}")
        return told["result"]

    async def open(self, path: str) -> None:
        """Goes there, and waits until the page is loaded and its modules have run."""
        loads = self.loads
        await self.js("heard = false; addEventListener('hashchange', () => setTimeout(() => { heard = true; }))")
        gone = await self.send("Page.navigate", url=self.site + path)
        if "loaderId" in gone:
            await until(lambda: self.loads > loads)
        else:  # only the fragment is another one, which the page hears of a moment later
            await until(lambda: self.js("heard"))

    async def js(self, expression: str) -> Any:
        """The value of an expression in the page."""
        told = await self.send("Runtime.evaluate", expression=expression, returnByValue=True, awaitPromise=True)
        if "exceptionDetails" in told:
            raise Refused(f"{expression}: {told['exceptionDetails']}")
        return told["result"].get("value")

    async def text(self, selector: str) -> str:
        """What a person reads there; nothing when it is not shown."""
        at = f"document.querySelector({json.dumps(selector)})"
        return str(await self.js(f"{at}?.checkVisibility() ? {at}.innerText : ''"))

    async def sees(self, selector: str, words: str) -> str:
        """Waits until the words stand there; all that stands there."""
        async def there() -> bool:
            with suppress(Gone):
                return words in await self.text(selector)
            return False
        try:
            await until(there)
        except AssertionError:
            raise AssertionError(f"{selector}: {words!r} is not in {await self.text(selector)!r}") from None
        return await self.text(selector)

    async def arrives(self, path: str) -> None:
        """Waits until this is the path of the page, whole and at the site."""
        async def there() -> bool:
            with suppress(Gone):
                where, state = await self.js("[location.origin + location.pathname, document.readyState]")
                return bool((where, state) == (self.site + path, "complete"))
            return False
        await until(there)

    async def type(self, selector: str, text: str) -> None:
        """Puts the text in the place of what stands in a field."""
        await self.js(f"document.querySelector({json.dumps(selector)}).focus()")
        await self.js("document.activeElement.select()")
        await self.send("Input.insertText", text=text)

    async def fill(self, **values: str) -> None:
        """Types into the fields with these names."""
        for name, value in values.items():
            await self.type(f"form:not([hidden]) [name={name}]", value)

    async def give(self, selector: str, files: dict[str, str]) -> None:
        """Chooses files (names, and what is in them) for a field, as if in the browser's own window."""
        await self.js(f"""(() => {{
            const field = document.querySelector({json.dumps(selector)});
            field.files = {_transfer(files)}.files;
            field.dispatchEvent(new Event("change", {{bubbles: true}}));
        }})()""")

    async def drop(self, selector: str, files: dict[str, str]) -> None:
        """Lets files fall on an element."""
        await self.js(f"""document.querySelector({json.dumps(selector)}).dispatchEvent(new DragEvent("drop", {{
            bubbles: true, cancelable: true, dataTransfer: {_transfer(files)}}}))""")

    async def press(self, selector: str) -> None:
        """Presses the left button of the mouse in the middle of an element."""
        box = await self.js(f"""(() => {{
            const element = document.querySelector({json.dumps(selector)});
            element.scrollIntoView({{block: "center", behavior: "instant"}});
            const box = element.getBoundingClientRect();
            return [box.x + box.width / 2, box.y + box.height / 2];
        }})()""")
        for kind in ("mousePressed", "mouseReleased"):
            await self.send("Input.dispatchMouseEvent", type=kind, x=box[0], y=box[1], button="left", clickCount=1)

    async def key(self, name: str) -> None:
        """Presses a key."""
        text = {"Enter": "\r", " ": " "}.get(name, "")
        told = {"key": name, "code": "Space" if name == " " else name, "windowsVirtualKeyCode": KEYS[name]}
        await self.send("Input.dispatchKeyEvent", type="keyDown", text=text, **told)
        await self.send("Input.dispatchKeyEvent", type="keyUp", **told)

    async def focused(self) -> str:
        """The id of the element that has the focus, or what it is."""
        return str(await self.js("document.activeElement.id || document.activeElement.textContent.trim()"))

    async def narrow(self, width: int = 360) -> None:
        """Makes the page as wide as a small telephone; fails when something of it stands outside."""
        await self.send("Emulation.setDeviceMetricsOverride", width=width, height=800, deviceScaleFactor=1, mobile=True)
        wide = await self.js("[...document.querySelectorAll('body *')].filter(each => each.checkVisibility() && "
                             "each.getBoundingClientRect().right > innerWidth + 1).map(each => each.outerHTML)")
        assert await self.js("document.documentElement.scrollWidth") <= width and not wide, wide

    async def picture(self, file: Path) -> None:
        """Takes a picture of the page as it is shown now."""
        shot = await self.send("Page.captureScreenshot", format="png", captureBeyondViewport=True)
        file.write_bytes(base64.b64decode(shot["data"]))

    def judge(self) -> None:
        """Fails when the browser complained of anything but the refusals that the test expects, or asked elsewhere."""
        refused = [f"{self.site}{path} with a status of {status}" for path, status in self.refusals]
        told = [f"{each.url} with{each.text.partition(' with')[2].partition(' (')[0]}" if each.source == "network"
                else str(each) for each in self.complaints]
        assert sorted(told) == sorted(refused), (told, refused)
        elsewhere = [url for _, url in self.requests if urlsplit(url).netloc != urlsplit(self.site).netloc]
        assert not elsewhere, elsewhere

    def asked(self, method: str, path: str) -> int:
        """How often the page has sent such a request."""
        return sum(each == method and urlsplit(url).path == path for each, url in self.requests)


@asynccontextmanager
async def browsing(folder: Path, site: str) -> AsyncIterator[Page]:
    """A browser with a profile of its own, which is gone afterwards with all that it has started."""
    as_root = ["--no-sandbox"] if os.geteuid() == 0 else []
    environ = {"PATH": os.environ["PATH"], "HOME": str(folder), "TMPDIR": str(folder)}
    process = await asyncio.create_subprocess_exec(
        PROGRAM, *OPTIONS, *as_root, f"--user-data-dir={folder}", "about:blank", stdin=DEVNULL, stdout=DEVNULL,
        stderr=DEVNULL, start_new_session=True, env=environ)
    try:
        async with aiohttp.ClientSession() as session, _attached(session, folder, site) as page:
            yield page
    finally:
        # The session that it was started in is its own, so its helpers go with it and nobody else does.
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        await process.wait()


@asynccontextmanager
async def _attached(session: aiohttp.ClientSession, folder: Path, site: str) -> AsyncIterator[Page]:
    where = folder / "DevToolsActivePort"
    await until(lambda: where.exists() and where.read_text().count("\n"), SECONDS)
    port = where.read_text().split()[0]
    async with session.get(f"http://127.0.0.1:{port}/json/list") as answer:
        tab = next(each for each in await answer.json() if each["type"] == "page")
    async with session.ws_connect(tab["webSocketDebuggerUrl"], max_msg_size=0) as socket:
        page = Page(socket, site)
        reading = asyncio.create_task(page.read())
        try:
            for domain in ("Page", "Network", "Log", "Runtime"):
                await page.send(f"{domain}.enable")
            yield page
        finally:
            await socket.close()
            await asyncio.wait_for(reading, SECONDS)
