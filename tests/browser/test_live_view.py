"""The page in a browser: it shows everyone what was put into OpenSearch, and does nothing else."""

import re
from collections.abc import Iterator

import pytest
from playwright.sync_api import Page, expect

from events.instant import HOUR, MINUTE, SECOND
from local.stack import Stack
from tests.browser.conftest import Open
from tests.console import scene
from tests.console.server import Console, Relay, console

pytestmark = [pytest.mark.integration, pytest.mark.browser]

MALICE = "<img src=x onerror=window.hacked=1><script>window.hacked=1</script>"


@pytest.fixture(scope="module")
def filled(stack: Stack) -> Stack:
    stack.renew()
    client = stack.search_client()
    since = scene.NOW - scene.NOW % MINUTE - 3 * HOUR
    refunds = [
        scene.transaction(
            f"refund-{number}",
            type_="REFUND",
            at=scene.NOW - 2 * MINUTE - number * SECOND,
            total=10_000 + number,
            score=0.95 - number / 100,
            original="t-77" if number == 1 else None,
        )
        for number in range(3)
    ]
    scene.put(
        client,
        scored=[
            *scene.sales_and_refunds("shop-001", sales=95, refunds=5, until=since - HOUR),
            *scene.sales_and_refunds("shop-009", sales=95, refunds=5, until=since - HOUR),
            *scene.sales_and_refunds("shop-001", sales=6, refunds=0, until=scene.NOW - 10 * MINUTE),
            *scene.sales_and_refunds("shop-002", sales=4, refunds=0, until=scene.NOW - HOUR),
            scene.transaction("yen", shop_id="shop-003", at=scene.NOW),
            scene.transaction(f"m-{MALICE}", shop_id=f"s-{MALICE}", cashier_id=MALICE),
            *refunds,
        ],
        pages=[
            scene.page("p-high", ["refund-0", "refund-1", "refund-2"], severity=4),
            scene.page(
                f"p-{MALICE}",
                [f"m-{MALICE}"],
                severity=1,
                summary=MALICE,
                shop_id=f"s-{MALICE}",
                entity=("cashier", MALICE),
            ),
            scene.page("p-done", ["refund-1"], status="closed", revision=3, refunded_total=7_777),
        ],
        rejections=[
            scene.rejection("not_json", field=None, detail="It ends early.", arrived_at=None),
            scene.rejection(MALICE, field=MALICE, detail=MALICE),
        ],
    )
    client.close()
    return stack


@pytest.fixture(scope="module")
def running(filled: Stack) -> Iterator[Console]:
    assert filled.node is not None
    with console(filled.node.url) as started:
        yield started


def test_the_screen_says_what_opensearch_holds(running: Console, open_page: Open) -> None:
    page = open_page(running.address)
    expect(page.locator("#now")).to_have_text("2026-03-02 16:40:30 UTC")
    for tile, text in {
        "transactions": "15",
        "transactions-sub": "0.1 per minute",
        "refunds": "3",
        "refunds-sub": "£300.03",
        "rate": "20.0%",
        "rate-sub": "normal 5.0%",
        "pages": "2",
        "pages-sub": "1 high or critical",
        "rejections": "2",
        "lag": "1.2 s",
    }.items():
        expect(page.locator(f"#tile-{tile}")).to_have_text(text)
    expect(page).to_have_title("(2) Tillwatch live view")
    shop = page.locator("#shops-rows tr").first
    expect(shop.locator("th, td")).to_have_text(
        ["shop-001", "3", "33.3%", "5.0%", "", re.compile(r"▲ \+\d\.\d σ")]
    )
    expect(page.locator("#shops-rows tr")).to_have_count(4)
    first = page.locator("#pages-list > li").first
    expect(first.locator(".badge")).to_have_text("Critical")
    expect(first.locator("h3")).to_contain_text("Cashier · shop-001")
    expect(first.locator("h3")).to_contain_text("opened 2 Mar 16:30 UTC")
    expect(first.locator(".facts dd")).to_have_text(
        ["cashier c-1", "3", "£1,234.50", "3, 0.4 expected", "0.97"]
    )
    expect(page.locator("#closed-rows tr")).to_contain_text("£77.77")
    expect(page.locator("#rejections-rows")).to_contain_text("It ends early.")
    expect(page.locator("#shards-rows th")).to_have_text("shardId-000000000000")


def test_charts_draw_and_say_their_figures(running: Console, open_page: Open) -> None:
    page = open_page(running.address)
    expect(page.locator(".chart canvas")).to_have_count(2)
    drawn = page.evaluate(
        """() => Array.from(document.querySelectorAll(".chart canvas"), (canvas) => {
             const all = canvas.getContext("2d").getImageData(0, 0, canvas.width, canvas.height);
             return new Set(new Uint32Array(all.data.buffer)).size;
           })"""
    )
    assert min(drawn) > 10, "a chart without a line has few colours"
    expect(page.locator("#chart-refunds")).to_have_attribute(
        "aria-label",
        "Refunds per minute from 13:40 to 16:39 UTC: lately 0.0, at most 3.0. "
        "The figures follow as a table.",
    )
    page.get_by_text("The figures as a table").click()
    rows = page.locator("#figures-rows tr")
    expect(rows).to_have_count(180)
    burst = page.locator("#figures-rows tr", has_text="2026-03-02 16:38")
    expect(burst.locator("td")).to_have_text(["3.0", "3.0"])


def test_the_window_is_chosen(running: Console, open_page: Open) -> None:
    page = open_page(running.address)
    page.get_by_label("24 hours").check()
    expect(page.locator("#tile-transactions")).to_have_text("215")
    expect(page.locator("#bucket-note")).to_contain_text("10 minutes")
    page.get_by_label("7 days").check()
    expect(page.locator("#bucket-note")).to_contain_text("an hour")
    page.get_by_label("3 hours").check()
    expect(page.locator("#tile-transactions")).to_have_text("15")


@pytest.mark.parametrize(
    ("seconds", "said"),
    [
        *((0, "Observed"), (60, "In 1 minute"), (1_500, "In 25 minutes"), (5_399, "In 90 minutes")),
        *((5_400, "In 2 hours"), (90_000, "In a day"), (604_800, "In about a week")),
    ],
)
def test_short_stretches_are_told_in_minutes(
    running: Console, open_page: Open, seconds: int, said: str
) -> None:
    page = open_page(running.address)
    told = "async (seconds) => (await import(new URL('/static/format.js', location))).span(seconds)"
    assert page.evaluate(told, seconds) == said


@pytest.mark.parametrize("theme", ["light", "dark"])
@pytest.mark.parametrize("width", [375, 1440])
def test_it_fits_in_both_themes(running: Console, open_page: Open, width: int, theme: str) -> None:
    page = open_page(running.address, width=width, theme=theme)
    for details in page.locator("details").all():
        details.evaluate("it => it.open = true")
    expect(page.locator(".evidence tbody").first).to_contain_text("£100.00")
    assert page.evaluate("document.documentElement.scrollWidth") == width
    text, ground = page.evaluate(
        "[getComputedStyle(document.body).color, getComputedStyle(document.body).backgroundColor]"
    )
    assert (_luminance(text) > _luminance(ground)) == (theme == "dark")
    assert _contrast(text, ground) >= 12


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_every_text_can_be_read(running: Console, open_page: Open, theme: str) -> None:
    page = open_page(running.address, theme=theme)
    pairs = page.evaluate(
        """() => Array.from(document.querySelectorAll("body *")).filter((it) =>
             it.checkVisibility() && it.clientWidth > 1 &&
             [...it.childNodes].some((n) => n.nodeType === 3 && n.data.trim())
           ).map((it) => {
             let at = it;
             const clear = "rgba(0, 0, 0, 0)";
             while (at && getComputedStyle(at).backgroundColor === clear) at = at.parentElement;
             return [it.textContent.trim().slice(0, 40), getComputedStyle(it).color,
                     getComputedStyle(at ?? document.body).backgroundColor];
           })"""
    )
    assert len(pairs) > 100
    assert [pair for pair in pairs if _contrast(pair[1], pair[2]) < 4.5] == []


def test_the_theme_is_chosen_and_kept(running: Console, open_page: Open) -> None:
    page = open_page(running.address)
    button = page.locator("#theme")
    ground = "getComputedStyle(document.body).backgroundColor"
    light = page.evaluate(ground)
    button.click()
    expect(button).to_have_text("Theme: light")
    button.click()
    expect(button).to_have_text("Theme: dark")
    assert _luminance(page.evaluate(ground)) < _luminance(light)
    page.reload()
    expect(button).to_have_text("Theme: dark")
    assert _luminance(page.evaluate(ground)) < _luminance(light)


def test_the_keyboard_reaches_the_evidence(running: Console, open_page: Open) -> None:
    page = open_page(running.address)
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.className") == "skip"
    expect(page.locator(".skip")).to_be_in_viewport()
    page.keyboard.press("Enter")
    assert page.evaluate("document.activeElement.id") == "main"
    for _ in range(12):
        page.keyboard.press("Tab")
        outline = page.evaluate("getComputedStyle(document.activeElement).outlineStyle")
        assert outline != "none", "one sees where one is"
        if page.evaluate("document.activeElement.textContent").startswith("Evidence: 3"):
            break
    assert page.evaluate("document.activeElement.tagName") == "SUMMARY"
    page.keyboard.press("Enter")
    rows = page.locator("#pages-list > li").first.locator(".evidence tbody tr")
    expect(rows).to_have_count(3)
    expect(rows.nth(0).locator("th, td").nth(2)).to_have_text("£100.00")
    expect(rows.nth(1).locator("th, td")).to_have_text(
        [
            "refund-1",
            "2026-03-02 16:38:29",
            "£100.01",
            "0.94",
            "c-1",
            "r-1",
            "Card",
            "t-77",
            "–",
        ]
    )


def test_what_shops_send_is_text_and_nothing_else(running: Console, open_page: Open) -> None:
    page = open_page(running.address)
    for details in page.locator("details").all():
        details.evaluate("it => it.open = true")
    expect(page.locator("#pages-list")).to_contain_text(MALICE)
    expect(page.locator("#shops-rows")).to_contain_text(MALICE)
    expect(page.locator("#rejections-rows")).to_contain_text(MALICE)
    expect(page.locator("#pages-list .evidence").last).to_contain_text(f"m-{MALICE}")
    assert page.locator("img, main script").count() == 0
    assert page.evaluate("window.hacked") is None
    unwatched = page.context.new_page()
    unwatched.goto(running.address)
    refused = unwatched.evaluate(
        """() => { try { document.body.innerHTML = "x"; return false; } catch { return true; } }"""
    )
    assert refused, "Trusted Types keep strings from becoming HTML"


def test_updates_move_nothing_and_lose_nothing(
    stack: Stack, running: Console, open_page: Open
) -> None:
    page = open_page(running.address)
    summary = page.locator("#pages-list > li").first.locator("summary")
    summary.focus()
    page.keyboard.press("Enter")
    expect(page.locator(".evidence tbody").first).to_contain_text("refund-2")
    watch = """() => { window.shift = 0; new PerformanceObserver((list) => {
        for (const entry of list.getEntries()) window.shift += entry.value;
      }).observe({type: "layout-shift"}); }"""
    page.evaluate(watch)
    boxes = """Array.from(document.querySelectorAll(".panel, .tiles > div, .chart"),
      (it) => JSON.stringify(it.getBoundingClientRect()))"""
    before = page.evaluate(boxes)
    client = stack.search_client()
    scene.put(
        client,
        scored=[scene.transaction(f"more-{number}") for number in range(5_000, 5_020)],
        pages=[scene.page("p-low", ["refund-2"], severity=2, summary="Two more in the evening.")],
        rejections=[scene.rejection("unknown_type", field="type")],
    )
    client.close()
    expect(page.locator("#tile-transactions")).to_have_text("35")
    expect(page.locator("#pages-list > li")).to_have_count(3)
    expect(page.locator("#announcer")).to_have_text(
        "New page, Medium, shop-001: Two more in the evening."
    )
    assert page.evaluate(boxes) == before
    assert page.evaluate("document.activeElement.tagName") == "SUMMARY"
    expect(page.locator(".evidence tbody").first).to_be_visible()
    assert page.evaluate("window.shift") < 0.02


def test_shops_keep_their_places_while_they_are_read(
    stack: Stack, running: Console, open_page: Open
) -> None:
    page = open_page(running.address)
    shops = page.locator("#shops-rows th")
    expect(shops.first).to_have_text("shop-001")
    page.locator("#shops-rows tr").first.hover()
    client = stack.search_client()
    until = scene.NOW - MINUTE
    scene.put(
        client,
        scored=scene.sales_and_refunds("shop-009", sales=0, refunds=30, until=until, every=SECOND),
    )
    client.close()
    expect(shops.last).to_have_text("shop-009")
    expect(shops.first).to_have_text("shop-001")
    expect(page.locator("#shops-held")).to_have_text("Order held while you read.")
    page.mouse.move(1, 1)
    expect(shops.first).to_have_text("shop-009")
    expect(page.locator("#shops-held")).to_have_text("")


def test_it_says_that_opensearch_is_away_and_goes_on_by_itself(
    filled: Stack, open_page: Open
) -> None:
    assert filled.node is not None
    with Relay(filled.node.url) as relay, console(relay.url) as running:
        page = open_page(running.address)
        shown = page.locator("#tile-transactions").text_content()
        relay.close()
        expect(page.locator("#trouble")).to_contain_text("OpenSearch does not answer")
        expect(page.locator("#trouble")).to_contain_text("What you see is from")
        expect(page.locator("#status")).to_have_text("Not live")
        assert page.locator("#tile-transactions").text_content() == shown
        relay.open()
        expect(page.locator("#status")).to_contain_text("Live")
        expect(page.locator("#trouble")).to_be_hidden()


def test_it_says_that_its_own_server_is_away(filled: Stack, open_page: Open) -> None:
    assert filled.node is not None
    with console(filled.node.url) as running:
        page = open_page(running.address)
    expect(page.locator("#trouble")).to_contain_text("own server does not answer")


def test_nobody_looks_nobody_asks(running: Console, open_page: Open) -> None:
    page = open_page(running.address)
    asked: list[str] = []
    page.on("request", lambda request: asked.append(request.url))
    _look(page, hidden=True)
    expect(page.locator("#status")).to_have_text("Paused")
    asked.clear()
    page.wait_for_timeout(5_000)
    assert asked == []
    _look(page, hidden=False)
    expect(page.locator("#status")).to_contain_text("Live")
    assert asked


def _look(page: Page, *, hidden: bool) -> None:
    """Tell the page what a browser tells it when its tab is left or returned to."""
    page.evaluate(
        """(hidden) => {
             Object.defineProperty(document, "hidden", { value: hidden, configurable: true });
             document.dispatchEvent(new Event("visibilitychange"));
           }""",
        hidden,
    )


def _luminance(colour: str) -> float:
    """Relative luminance as WCAG 2.2 defines it, of a colour as getComputedStyle writes it."""
    channels = [float(part) / 255 for part in re.findall(r"[\d.]+", colour)[:3]]
    red, green, blue = (
        value / 12.92 if value <= 0.04045 else ((value + 0.055) / 1.055) ** 2.4
        for value in channels
    )
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


def _contrast(one: str, other: str) -> float:
    dark, light = sorted((_luminance(one), _luminance(other)))
    return (light + 0.05) / (dark + 0.05)
