"""In a real Chromium, as large as a phone: a visit without a network with two phones; what a phone keeps and wipes."""

from __future__ import annotations

import base64
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from tests.doors import PIN, Doors, doors
from tests.serving import serving

from wuzha.command.public import Actor
from wuzha.respond import phones, reveal, visits
from wuzha.store import Database

if TYPE_CHECKING:
    from playwright.sync_api import Browser, BrowserContext, Page

pytestmark = pytest.mark.browser

#: A picture of one pixel.
DOT = base64.b64decode(
    "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg=="
)
#: Everything that a script of the origin could read in the phone's own store.
STORED = """async () => {
  const base = await new Promise((ok, no) => { const r = indexedDB.open('wuzha-door'); r.onsuccess = () => ok(r.result); r.onerror = no; });
  const all = {};
  for (const name of base.objectStoreNames) {
    const t = base.transaction(name).objectStore(name);
    const get = (r) => new Promise((ok) => { r.onsuccess = () => ok(r.result); });
    const keys = await get(t.getAllKeys()), values = await get(t.getAll());
    all[name] = keys.map((k, i) => [k, JSON.stringify(values[i], (_, v) => v instanceof ArrayBuffer ? new TextDecoder('latin1').decode(v) : v)]);
  }
  base.close();
  return all;
}"""  # noqa: E501


@pytest.fixture
def both(make_db: Callable[[], Database], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Doors]:
    with doors(make_db, tmp_path, monkeypatch) as made:
        yield made


@pytest.fixture
def handsets(browser: Browser, both: Doors) -> Iterator[Callable[[Actor], Page]]:
    """Paired phones, each a browser of its own that fails the test where a script fails or another host is asked."""
    made: list[BrowserContext] = []
    wrong: list[str] = []
    with serving(both.app) as address:

        def enter(officer: Actor) -> Page:
            context = browser.new_context(
                locale="zh-CN", timezone_id="Asia/Shanghai", viewport={"width": 390, "height": 844}, has_touch=True,
                permissions=["geolocation"], geolocation={"latitude": 28.85, "longitude": 121.12},
            )  # fmt: skip
            context.set_default_timeout(45_000)
            made.append(context)
            page = context.new_page()
            page.on("pageerror", lambda error: wrong.append(f"script: {error}"))
            page.on("request", lambda r: wrong.append(r.url) if not r.url.startswith((address, "data:")) else None)
            page.on("console", lambda m: wrong.append(m.text) if "Content Security Policy" in m.text else None)
            page.goto(f"{address}/door")
            page.locator("#code").fill(both.code(officer))
            page.locator("#pin").fill(PIN)
            page.locator("button.main").click()
            ready(page)
            page.evaluate("navigator.serviceWorker.ready.then(() => null)")
            return page

        yield enter
        for context in made:
            context.close()
    assert not wrong, wrong


def ready(page: Page) -> None:
    page.locator("body[data-ready='1']").wait_for()


def opened(page: Page) -> None:
    """Open the first order of the list."""
    page.locator("#rows a").first.click()
    page.locator("#open").click()
    page.locator("#o-name").wait_for()


def sign(page: Page) -> None:
    pad = page.locator("#pad")
    pad.scroll_into_view_if_needed()
    box = pad.bounding_box()
    assert box is not None
    page.mouse.move(box["x"] + 40, box["y"] + 60)
    page.mouse.down()
    for x, y in ((120, 90), (180, 40), (240, 100), (300, 50)):
        page.mouse.move(box["x"] + x, box["y"] + y, steps=3)
    page.mouse.up()


def fill(page: Page, result: str, words: str) -> None:
    for name in ("停止共享屏幕", "卸载涉诈App", "取消呼叫转移", "登录国家反诈中心App并开启预警"):
        page.get_by_text(name, exact=True).click()
    page.get_by_text(result, exact=True).click()
    page.locator("#form [name=words]").fill(words)


def sent(page: Page) -> None:
    page.locator("#queue").get_by_text("全部已送达").wait_for()


def test_a_visit_without_a_network_with_two_phones(both: Doors, handsets: Callable[[Actor], Page]) -> None:
    alert = both.signed("张小兰", level="urgent", line="+8613812341234", vault={"place": "东街道"})
    both.sent(alert)
    li, sun = both.officer("li", "李强"), both.officer("sun", "孙悦")
    one, two = handsets(li), handsets(sun)
    for page in (one, two):
        assert "张小兰" not in page.content()
        opened(page)
        assert "张小兰" in page.locator("#order").inner_text()
        page.context.set_offline(True)
        page.reload()  # the page comes from the phone itself, and the order with it
        page.locator("#o-name").get_by_text("张小兰").wait_for()
        assert "无网络" in page.locator("#net").inner_text()
        assert "13812341234" in page.locator("#o-tel").inner_text() and "北门" in page.locator("#o-route").inner_text()
    fill(one, "已见面", "已停止共享屏幕，答应不转账")
    one.locator("#submit").click()  # met, and the notice neither signed nor refused
    one.locator("#say").get_by_text("请本人签告知书").wait_for()
    sign(one)
    one.locator("#gps").click()
    one.locator("#gps-got").get_by_text("已记下位置").wait_for()
    one.locator("#camera").set_input_files({"name": "a.png", "mimeType": "image/png", "buffer": DOT})
    one.locator("#shots img").wait_for()
    one.get_by_text("亲属在场", exact=True).click()
    one.get_by_text("半信", exact=True).click()
    one.reload()  # what was written outlives the page
    one.locator("#shots img").wait_for()
    assert one.locator("#form [name=words]").input_value() == "已停止共享屏幕，答应不转账"
    one.locator("#submit").click()
    one.locator("#say").get_by_text("已保存在手机里").wait_for()
    fill(two, "非本人已转告", "只见到邻居")
    two.locator("#submit").click()
    two.locator("#say").get_by_text("已保存在手机里").wait_for()
    one.locator("#queue").get_by_text("待发送 3").wait_for()  # signature, picture, record
    both.pass_on()
    assert both.there.execute("SELECT count(*) FROM door_items WHERE kind <> 'opened'").fetchone() == (0,)
    for page in (one, two):
        page.context.set_offline(False)
        page.evaluate("window.dispatchEvent(new Event('online'))")
        sent(page)
    both.pass_on()
    two.reload()
    ready(two)
    two.locator("#records").get_by_text("两人所记不同").wait_for()
    assert "以“已见面”为这次上门的结果" in two.locator("#records").inner_text()

    def file() -> tuple[Any, ...]:
        with both.desk.scope(both.caller) as conn:
            found = visits.of_file(conn, alert)
            told = conn.execute("SELECT state, result FROM dispatches").fetchone()
        state = both.desk.engine.execute("SELECT state FROM alerts WHERE alert_id = %s", (alert,)).fetchone()
        return both.steps(alert), [(r["officer"], r["result"], len(r["images"])) for r in found], told, state

    steps, records, told, state = file()
    assert [s for s in steps if s[:2] == ("visit", "met")] == [("visit", "met", li.user_id)]
    assert sorted(records) == sorted([(li.user_id, "met", 2), (sun.user_id, "told_other", 0)])
    assert told == ("done", "met") and state == ("reached",)
    before = file()
    for page in (one, two):  # once more, and from the beginning
        page.evaluate("window.door.sync()")
        page.reload()
        ready(page)
        sent(page)
    both.pass_on(4)
    assert file() == before and both.refused == []
    # The desk: both records, one outcome; pictures only after a reveal.
    with both.desk.scope(both.caller) as conn:
        reveal.reveal(conn, both.caller, alert, purpose="visit")
        image = next(i for r in visits.of_file(conn, alert) for i in r["images"] if i["kind"] == "signature")
        assert visits.picture(conn, both.caller, alert, image["picture_id"])[1].startswith(b"\x89PNG")


def test_what_a_phone_keeps_is_closed_and_goes_when_its_session_or_the_phone_does(
    both: Doors, handsets: Callable[[Actor], Page]
) -> None:
    alert = both.signed("张小兰", line="+8613812341234")
    both.sent(alert)
    li = both.officer("li", "李强")
    page = handsets(li)
    opened(page)
    page.locator("#form [name=words]").fill("她在银行门口")
    page.wait_for_timeout(300)
    kept = page.evaluate(STORED)
    assert any(key.startswith("draft:") for key, _ in kept["vault"])
    for secret in ("张小兰", "13812341234", "她在银行门口"):
        assert secret not in str(kept)
    page.context.set_offline(True)
    page.get_by_text("查无此人", exact=True).click()
    page.locator("#submit").click()
    page.locator("#say").get_by_text("已保存在手机里").wait_for()
    both.there.execute("UPDATE door_phones SET session_until = now() - interval '1 minute'")
    page.context.set_offline(False)
    page.reload()
    page.wait_for_url("**/door/login")  # the session is over: nothing is shown, nothing lost
    page.locator("#pin").fill(PIN)
    page.locator("button.main").click()
    sent(page)
    both.pass_on()
    assert [s[:2] for s in both.steps(alert)][-1] == ("visit", "no_such_person")
    with both.desk.scope(li) as conn:
        phones.revoke(conn, li, phones.listed(conn, li)[0]["phone_id"])
    both.pass_on()
    page.evaluate("window.door.sync()")
    page.locator("#locked").wait_for()
    assert page.evaluate(STORED) == {"meta": [], "vault": []}
    assert "张小兰" not in page.content() or not page.locator("#order").is_visible()


def test_what_was_not_sent_goes_on_with_a_new_pairing_and_nobody_elses_is_thrown_away_unasked(
    both: Doors, handsets: Callable[[Actor], Page]
) -> None:
    alert, later = both.signed("张小兰"), both.signed("李小梅")
    both.sent(alert)
    li, sun = both.officer("li", "李强"), both.officer("sun", "孙悦")
    page = handsets(li)
    opened(page)
    page.context.set_offline(True)
    fill(page, "不在本辖区", "搬走了")
    page.locator("#submit").click()
    page.locator("#say").get_by_text("已保存在手机里").wait_for()

    def pair(officer: Actor) -> None:
        code = both.code(officer)
        page.context.clear_cookies()
        page.context.set_offline(False)
        page.goto(page.url.partition("/door")[0] + "/door/login")
        page.locator("#code").fill(code)
        page.locator("#pin").fill(PIN)
        page.locator("button.main").click()

    pair(sun)  # another officer: the record is neither sent in their name nor thrown away
    page.locator("#locked-n").get_by_text("李强").wait_for()
    assert [k for k, _ in page.evaluate(STORED)["vault"] if k.startswith("item:")] and page.locator(
        "#discard"
    ).is_visible()
    pair(li)
    sent(page)
    both.pass_on()
    assert both.steps(alert)[-1] == ("visit", "not_here", li.user_id)

    both.sent(later)
    both.pass_on()
    page.evaluate("window.door.sync()")
    page.locator("#rows a", has_text="李").first.wait_for()
    opened(page)
    page.context.set_offline(True)
    fill(page, "不在本辖区", "也搬走了")
    page.locator("#submit").click()
    page.locator("#say").get_by_text("已保存在手机里").wait_for()
    pair(sun)
    page.locator("#discard").click()
    ready(page)
    assert not [k for k, _ in page.evaluate(STORED)["vault"] if k.startswith("item:")]


def test_a_session_that_ends_without_a_network_closes_the_phone_and_loses_nothing(
    both: Doors, handsets: Callable[[Actor], Page]
) -> None:
    alert = both.signed("张小兰")
    both.sent(alert)
    both.told.door_session_s = 6.0
    page = handsets(both.officer("li", "李强"))
    opened(page)
    page.context.set_offline(True)
    fill(page, "不在本辖区", "搬走了")
    page.locator("#submit").click()
    page.locator("#say").get_by_text("已保存在手机里").wait_for()
    page.wait_for_timeout(6500)
    page.reload()
    page.locator("#locked").get_by_text("待发送 1").wait_for()
    assert not page.locator("#order").is_visible() and "张小兰" not in page.content()
    assert "key" not in page.evaluate(STORED)["meta"][0][1]  # what is left cannot be read by anybody
    both.told.door_session_s = 600.0
    page.context.set_offline(False)
    page.locator("#locked a").click()
    page.locator("#pin").fill(PIN)
    page.locator("button.main").click()
    sent(page)
    both.pass_on()
    assert both.steps(alert)[-1][:2] == ("visit", "not_here")


def test_the_pages_are_large_and_in_high_contrast_and_fit_a_phone(
    both: Doors, handsets: Callable[[Actor], Page]
) -> None:
    both.sent(both.signed("阿卜杜热西提·买买提艾力江", level="urgent", amount_fen=18_200_000))
    both.sent(both.signed("李强", level="high", scam_type="romance"))
    page = handsets(both.officer("li", "李强"))
    for view in ("list", "order", "english"):
        if view == "order":
            opened(page)
            page.locator("details.talk summary").click()
        elif view == "english":
            page.goto(page.url.rpartition("/")[0] + "?en")
            ready(page)
            page.locator("#rows a").first.click()
            page.get_by_text("Result of the visit").wait_for()
            page.locator("#o-name").wait_for()
        assert page.evaluate("document.documentElement.scrollWidth") <= 390
        small, pale = page.evaluate(CONTRAST)
        assert small == [] and pale == [], (view, small, pale)
    targets = page.evaluate(
        "[...document.querySelectorAll('button,.tick,.pick,select,.file')].filter(e => e.offsetParent)"
        ".map(e => [e.className + e.id, e.getBoundingClientRect().height]).filter(x => x[1] < 48)"
    )
    assert targets == []


#: Texts smaller than 17 px, and those with less than 7 to 1 between them and what is behind them.
CONTRAST = """() => {
  const parse = (c) => (c.match(/[\\d.]+/g) || []).map(Number);
  const light = (c) => { const f = (v) => { v /= 255; return v <= 0.03928 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4; };
    return 0.2126 * f(c[0]) + 0.7152 * f(c[1]) + 0.0722 * f(c[2]); };
  const small = [], pale = [];
  const walk = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
  while (walk.nextNode()) {
    const e = walk.currentNode.parentElement;
    if (!walk.currentNode.textContent.trim() || !e.offsetParent) continue;
    const style = getComputedStyle(e);
    let back = [255, 255, 255], at = e;
    while (at) { const b = parse(getComputedStyle(at).backgroundColor); if (b.length === 3 || b[3] === 1) { back = b; break; } at = at.parentElement; }
    const [x, y] = [light(parse(style.color)), light(back)].sort((a, b) => b - a), ratio = (x + 0.05) / (y + 0.05);
    if (parseFloat(style.fontSize) < 17) small.push(e.tagName + ' ' + walk.currentNode.textContent.trim().slice(0, 20));
    if (ratio < 7) pale.push(ratio.toFixed(1) + ' ' + walk.currentNode.textContent.trim().slice(0, 20));
  }
  return [small, pale];
}"""  # noqa: E501
