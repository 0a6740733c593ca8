"""How well the text of a page in a browser can be read, in light and in dark."""

import contextlib
from collections.abc import Iterator

from gateway.browser import Browser

LEAST = 4.5
"""To one: what WCAG 2.2 asks of text (1.4.3)."""

_WEAK = """
(() => {
  const parsed = (text) => {
    const [red, green, blue, alpha = 1] = text.match(/[\\d.]+/g).map(Number);
    return { parts: [red, green, blue], alpha };
  };
  const over = ({ parts, alpha }, below) => parts.map((part, n) => part * alpha + below[n] * (1 - alpha));
  // What lies behind a text: on the map the shape that it stands on, else the nearest background.
  const behind = (element) => {
    const shape = element.closest('.node, .leaf')?.querySelector('rect, circle');
    if (shape) return parsed(getComputedStyle(shape).fill).parts;
    if (!element) return [255, 255, 255];
    const colour = parsed(getComputedStyle(element).backgroundColor);
    if (colour.alpha === 1) return colour.parts;
    return over(colour, element.parentElement ? behind(element.parentElement) : [255, 255, 255]);
  };
  const light = (parts) => {
    const [red, green, blue] = parts.map((part) => part / 255).map(
      (part) => part <= 0.04045 ? part / 12.92 : ((part + 0.055) / 1.055) ** 2.4);
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue;
  };
  const contrast = (one, other) => {
    const [dark, bright] = [light(one), light(other)].sort((a, b) => a - b);
    return (bright + 0.05) / (dark + 0.05);
  };
  const said = [...document.body.querySelectorAll('*')].filter((each) =>
    !each.closest('title, template, noscript, script') && each.getClientRects().length
    && [...each.childNodes].some((node) => node.nodeType === Node.TEXT_NODE && node.data.trim()));
  return { texts: said.length, weak: said.flatMap((each) => {
    const style = getComputedStyle(each);
    const ground = behind(each);
    const ink = over(parsed(each instanceof SVGElement ? style.fill : style.color), ground);
    const found = contrast(ink, ground);
    return found < %s ? [`${each.textContent.trim()}: ${found.toFixed(2)} to 1`] : [];
  }) };
})()
"""


@contextlib.contextmanager
def preferring(browser: Browser, scheme: str) -> Iterator[None]:
    """Have the browser's user like `light` or `dark`."""
    feature = {"name": "prefers-color-scheme", "value": scheme}
    browser.call("Emulation.setEmulatedMedia", features=[feature])
    try:
        yield
    finally:
        browser.call("Emulation.setEmulatedMedia", features=[])


def weak_texts(browser: Browser) -> list[str]:
    """Return the visible texts of a page that are hard to read, each with its contrast."""
    told = browser.evaluate(_WEAK % LEAST)
    assert told["texts"] > 5, "the page shows nothing"
    weak: list[str] = told["weak"]
    return weak


def background(browser: Browser) -> str:
    """Return the colour behind everything."""
    colour: str = browser.evaluate("getComputedStyle(document.body).backgroundColor")
    return colour
