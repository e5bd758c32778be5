"""What a page must not take for a part of itself, and how a test sees that it did not."""
from __future__ import annotations

import json
from typing import Any

from tests.pages.browser import Page

HURT = "document.title='hurt'"
# What would run if a page took it for markup, a style, an address or a piece of script.
ATTACKS = (f'<img src=x onerror="{HURT}">', f'"><script>{HURT}</script>', f"' autofocus onfocus={HURT} x='",
           f"<svg/onload={HURT}>", f"javascript:{HURT}", f"</script><script>{HURT}//", f"${{{HURT}}}{{{{{HURT}}}}}")


async def answered(page: Page, status: int, kind: str, body: str) -> None:
    """Every request of the page is answered so, by nobody."""
    told = f"{{status: {status}, headers: {{'Content-Type': '{kind}', 'Retry-After': '0'}}}}"
    await page.js(f"void (fetch = async () => new Response({json.dumps(body)}, {told}))")


async def gives(page: Page, data: dict[str, Any]) -> None:
    """Every request of the page for one of these paths is answered so, others by an empty list."""
    told = "{data: data[path.split('?')[0]] ?? [], next: null}"
    await page.js(f"void ((data) => {{ fetch = async (path) => Response.json({told}); }})({json.dumps(data)})")


async def unhurt(page: Page) -> None:
    """Nothing that somebody has written became part of the page."""
    foreign = "document.querySelectorAll('img, svg, iframe, style, script:not([src^=\"/static/\"]), [onfocus]').length"
    assert await page.js(foreign) == 0
    assert await page.js("document.title") != "hurt"
