#!/usr/bin/env python3
"""Opens a page of `refire report` in headless Chromium, and holds what a reader relies on.

    python tests/browser/report.py PAGE.html [--axe axe.min.js] [--screenshots FOLDER] [--chromium PATH]

Needs playwright (pip) and a Chromium. With axe-core's axe.min.js (npm) it also looks for what keeps people from reading the page.
Fails with the first thing that does not hold.
"""

import argparse
import pathlib
import re
import shutil
import sys

from playwright.sync_api import sync_playwright

WIDTHS = [375, 1024, 1600]
LONGEST = 1.0  # seconds until the page stands
MOST = 5_000_000  # bytes
PATIENCE = 120_000  # milliseconds


def fail(what):
    sys.exit(f"the page does not hold: {what}")


def watched(context, url):
    """A page of which every request and every word on the console is kept."""
    page = context.new_page()
    # On a busy machine the browser itself may take its time.
    page.set_default_timeout(PATIENCE)
    page.asked, page.said = [], []
    page.on("request", lambda request: page.asked.append(request.url))
    page.on("console", lambda message: page.said.append(f"{message.type}: {message.text}"))
    page.on("pageerror", lambda error: page.said.append(str(error)))
    page.goto(url)
    return page


def opens_in(page):
    """Seconds until it stands: the quickest of five, since a busy machine says nothing about the page."""
    seconds = []
    while len(seconds) < 5 and (not seconds or min(seconds) > LONGEST):
        if seconds:
            page.reload()
        seconds.append(page.evaluate("performance.getEntriesByType('navigation')[0].loadEventEnd") / 1000)
    return min(seconds)


def check_quiet(page, url):
    others = [asked for asked in page.asked if asked.split("#")[0] not in (url, "about:blank") and not asked.startswith("data:")]
    if others:
        fail(f"it asks for {others}")
    if page.said:
        fail(f"the console says {page.said}")


# axe walks over every element once a rule, also over those that are folded away: 35,000 of them, as a page of 208 stages has, take it
# minutes. Stages and rows of tables are alike, so that of those that look the same some are enough.
MOST_ELEMENTS = 8000
THIN = """(most) => {
  const all = () => document.querySelectorAll('*').length;
  const before = all();
  if (before <= most) return [before, before];
  const look = (one) => [one, ...one.querySelectorAll('*')].map((part) => part.tagName + part.getAttribute('class')).join(' ');
  for (const [what, shows] of [['details.stage', (stage) => stage.querySelector('summary')], ['tbody > tr', (row) => row]]) {
    const seen = new Map();
    for (const one of document.querySelectorAll(what)) {
      const beside = seen.get(one.parentElement) ?? new Map();
      seen.set(one.parentElement, beside);
      const key = look(shows(one));
      beside.set(key, (beside.get(key) ?? 0) + 1);
      if (beside.get(key) > 3) one.remove();
    }
  }
  return [before, all()];
}"""


def check_axe(page, axe, what):
    before, looked_at = page.evaluate(THIN, MOST_ELEMENTS)
    if looked_at < before:
        print(f"axe ({what}): of {before} elements those that look alike were left out but for three of each: {looked_at} are looked at")
    # The page's policy runs no script but its own: axe goes in past it.
    page.evaluate(axe + "; true")
    result = page.evaluate("axe.run(document, {resultTypes: ['violations']})")
    bad = [found for found in result["violations"] if found["impact"] in ("serious", "critical")]
    for found in bad:
        places = [node["html"][:160] + " " + " ".join(check["message"] for check in node["any"])[:200] for node in found["nodes"][:3]]
        print(f"axe ({what}): {found['id']}: {found['help']}\n  " + "\n  ".join(places))
    if bad:
        fail(f"axe finds {len(bad)} serious things in {what}")


def check_overflow(page, what):
    wide, room = page.evaluate("[document.documentElement.scrollWidth, innerWidth]")
    if wide > room:
        culprits = page.evaluate("""[...document.querySelectorAll('main *')].filter(e => e.getBoundingClientRect().right > innerWidth
            && !e.closest('.wide, .graph, nav')).slice(0, 3).map(e => e.outerHTML.slice(0, 120))""")
        fail(f"at {what} it is {wide} pixels wide: {culprits}")


def check_stage(page, url, empty):
    """A click on a stage of the graph, and Enter on it, show its settings and why it ran."""
    nodes = page.locator(".graph a.node")
    if nodes.count() == 0:
        fail("the graph has no stage")
    for how in ("click", "key"):
        page.goto("about:blank")
        page.goto(url)
        node = nodes.nth(nodes.count() // 2)
        stage = node.get_attribute("data-stage")
        body = page.locator(f"#stage-{stage}")
        if body.is_visible():
            fail("a stage is open before it is asked for")
        if how == "click":
            node.click()
        else:
            node.focus()
            page.keyboard.press("Enter")
        body.wait_for(state="visible", timeout=PATIENCE)
        text = body.inner_text()
        if "Settings" not in text and "settings" not in text:
            fail(f"a {how} on a stage shows no settings: {text[:200]}")
        if "state" not in text:
            fail(f"a {how} on a stage does not say how it stands")
        if not empty and "why it ran" not in text:
            fail(f"a {how} on a stage does not say why it ran")
        if page.locator(".node.selected").count() != 1:
            fail("the graph does not show which stage is open")
        if page.locator("details.stage[open]").count() != 1:
            fail("more than one stage is open")
    return text


def check_sorting(page):
    """A click on the head of a column sorts by it."""
    table = page.locator("table.sortable").filter(has=page.locator("tbody tr:nth-child(3)"))
    if table.count() == 0:
        return
    table = table.last
    button = table.locator("thead button").last
    button.click()
    head = table.locator("thead th").last
    if head.get_attribute("aria-sort") not in ("ascending", "descending"):
        fail("a click on the head of a column sorts nothing")
    button.click()


def check_without_script(browser, url):
    """Without JavaScript everything can be read, and the graph leads to a stage's details."""
    context = browser.new_context(java_script_enabled=False)
    page = context.new_page()
    page.goto(url)
    href = page.locator(".graph a.node").first.get_attribute("href")
    page.locator(".graph a.node").first.click()
    body = page.locator(href)
    body.wait_for(state="visible", timeout=PATIENCE)
    context.close()


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("page")
    parser.add_argument("--axe", help="axe.min.js of axe-core")
    parser.add_argument("--screenshots", help="a folder for pictures at three widths, light and dark, and on paper")
    parser.add_argument("--chromium", default=shutil.which("chromium") or shutil.which("google-chrome"))
    parser.add_argument("--expect", action="append", default=[], help="a text that the page has to show")
    parser.add_argument("--quick", action="store_true", help="at one width only")
    parser.add_argument("--empty", action="store_true", help="of stages that have not run")
    arguments = parser.parse_args()
    path = pathlib.Path(arguments.page).resolve()
    url = path.as_uri()
    html = path.read_text(encoding="utf-8")
    if len(html.encode()) > MOST:
        fail(f"it has {len(html.encode())} bytes")
    if re.search(r"""(?:src|href)=["']?(?:https?:)?//""", html):
        fail("it names another server")
    axe = pathlib.Path(arguments.axe).read_text(encoding="utf-8") if arguments.axe else None
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=arguments.chromium, args=["--no-sandbox"])
        for scheme in ("light",) if arguments.quick else ("light", "dark"):
            for width in WIDTHS[:1] if arguments.quick else WIDTHS:
                context = browser.new_context(viewport={"width": width, "height": 900}, color_scheme=scheme)
                context.set_offline(True)
                page = watched(context, url)
                loaded = opens_in(page)
                # In the short form the machine may be building something beside it.
                if loaded > (5 * LONGEST if arguments.quick else LONGEST):
                    fail(f"it takes {loaded:.2f} s to load")
                check_quiet(page, url)
                check_overflow(page, f"{width} pixels")
                for text in arguments.expect:
                    if text not in page.inner_text("body"):
                        fail(f"it does not say `{text}`")
                if arguments.screenshots:
                    folder = pathlib.Path(arguments.screenshots)
                    folder.mkdir(parents=True, exist_ok=True)
                    page.screenshot(path=folder / f"{width}-{scheme}.png", full_page=True)
                check_stage(page, url, arguments.empty)
                check_overflow(page, f"{width} pixels with a stage open")
                if arguments.screenshots:
                    page.screenshot(path=folder / f"{width}-{scheme}-stage.png")
                check_sorting(page)
                if axe:
                    check_axe(page, axe, f"{width} pixels, {scheme}")
                print(f"{width:>5} {scheme:<5} opens in {loaded:.2f} s")
                check_quiet(page, url)
                context.close()
        check_without_script(browser, url)
        if arguments.screenshots:
            context = browser.new_context()
            page = watched(context, url)
            page.pdf(path=pathlib.Path(arguments.screenshots) / "paper.pdf", format="A4")
            context.close()
        browser.close()
    print("the page holds")


main()
