"""The wall: its river is true to its numbers; at both sizes it is one page, 28 and up, with nothing cut."""

from __future__ import annotations

import re
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.desks import Centre
from tests.furnished import furnish
from tests.serving import log_in

from wuzha.command import metrics
from wuzha.command.public import Actor
from wuzha.events import clock
from wuzha.respond import contact, outcome, sign
from wuzha.web import river
from wuzha.web.wall import RIVER

if TYPE_CHECKING:
    from playwright.sync_api import Page


def heights(path: str) -> tuple[float, float]:
    """How high a ribbon is at its start and at its end."""
    x = [float(n) for n in re.findall(r"-?[\d.]+(?:e-?\d+)?", path)]
    _, y1, _, _, _, _, _, y2, low2, _, _, _, _, _, low1 = x[:15]
    return low1 - y1, low2 - y2


@given(st.lists(st.integers(0, 500), min_size=5, max_size=5), st.data())
@settings(max_examples=60, deadline=None)
def test_every_width_of_the_river_is_true_to_its_number(numbers: list[int], data: st.DataObject) -> None:
    *falling, met = sorted(numbers, reverse=True)
    whole, reached = falling[0], falling[3]
    kept_met = data.draw(st.integers(0, met))
    kept_past = data.draw(st.integers(0, reached - met))
    lost = data.draw(st.integers(0, whole))
    drawn = river.river(list(zip(RIVER, [*falling, met, kept_met + kept_past], strict=True)), kept_met, lost)
    if not whole:
        assert drawn is None
        return
    assert drawn is not None
    scale = river.DEEP / whole
    for station in drawn.stations:
        assert abs(station.height - station.n * scale) < 0.01
    for flow in drawn.flows:
        start, end = heights(flow.path)
        assert abs(start - flow.start * scale) < 0.05 and abs(end - flow.end * scale) < 0.05, flow
    # Nobody who is met or passes by is lost from the drawing, and nobody is drawn twice.
    into = [f for f in drawn.flows if f.name in ("met", "past")]
    assert sum(f.start for f in into) == 2 * reached
    assert sum(f.end for f in into if f.start != f.end or f.end == 0) <= kept_met + kept_past + reached
    if lost:
        assert abs(heights(drawn.arm)[0] - lost * scale) < 0.05


def worked(house: Centre, actor: Actor, alert: int, result: str, code: str, fen: int | None, at: Any) -> None:
    """The file signed for, reached by ``result`` and closed, by the desk's own steps."""
    for n, (verb, values) in enumerate(
        (
            (sign.sign, {}),
            (contact.contact, {"channel": "visit" if result == "met" else "call", "result": result}),
            (outcome.outcome, {"code": code, "amount_fen": fen}), (outcome.close, {}),
        )
    ):  # fmt: skip
        row = house.engine.execute("SELECT version FROM alerts WHERE alert_id = %s", (alert,)).fetchone()
        assert row is not None
        with house.scope(actor, now=at) as conn:
            verb(conn, actor, alert, version=row[0], key=f"worked-{alert}-{n}", now=at, **values)  # type: ignore[operator]


def test_people_met_are_among_those_reached_and_need_not_be_those_who_keep_their_money(
    house: Centre, wang: Actor
) -> None:
    now = clock.now()
    for result, code, fen in (
        ("met", "dissuaded", 100), ("self", "dissuaded", 200), ("met", "deceived", 300), ("self", "dissuaded", None),
        ("met", "false_alarm", None),
    ):  # fmt: skip
        worked(house, wang, house.alert(now=now, ago=timedelta(seconds=1)), result, code, fen, now)
    house.alert(now=now, ago=timedelta(seconds=1))
    with house.scope(wang) as conn:
        seen = metrics.wall(conn, wang, now=now + timedelta(seconds=1))
    names = (*RIVER, "kept_met", "dissuaded", "deceived")
    assert {n: seen.today[n] for n in names} == {
        "alerts": 6, "signed": 5, "located": 5, "reached": 5, "met": 3, "kept": 2, "kept_met": 1, "dissuaded": 3,
        "deceived": 1,
    }  # fmt: skip


#: What is too small, cut, on top of another text or beyond the page; the page's own pixel is ``unit`` of the screen's.
FAULTS = """unit => {
  const out = [], seen = [];
  if (document.documentElement.scrollHeight > innerHeight || document.documentElement.scrollWidth > innerWidth) out.push('scrolls');
  for (const el of document.querySelectorAll('#wall, #wall section, #wall .number, #wall h1, #wall h2, #wall td, #wall th'))
    if (el.scrollWidth > el.clientWidth + 1 && el.clientWidth && getComputedStyle(el).display !== 'inline' && !el.closest('.feed, .units tbody')) out.push(`runs over: ${el.className} ${el.textContent.slice(0, 20)}`);
  const walk = document.createTreeWalker(document.getElementById('wall'), NodeFilter.SHOW_TEXT);
  while (walk.nextNode()) {
    const node = walk.currentNode, el = node.parentElement;
    if (!node.textContent.trim() || el.closest('title') || !el.getClientRects().length) continue;
    const scale = el.ownerSVGElement ? el.getScreenCTM().a : 1;
    const size = parseFloat(getComputedStyle(el).fontSize) * scale;
    const name = node.textContent.trim().slice(0, 20);
    if (size < 28 * unit - 0.1) out.push(`${size.toFixed(1)} is small: ${name}`);
    const range = document.createRange(); range.selectNodeContents(node);
    const list = el.closest('.feed, .units tbody'), panel = el.closest('.wall-panel');
    for (const r of range.getClientRects()) {
      if (list) { const l = list.getBoundingClientRect(); if (r.left >= l.right - 1) continue;
        if (r.bottom > l.bottom + 3 * unit || r.right > l.right + 1) out.push(`cut in its list: ${name}`); }
      const p = panel ? panel.getBoundingClientRect() : { left: 0, top: 0, right: innerWidth, bottom: innerHeight };
      if (r.left < p.left - 1 || r.right > p.right + 1 || r.top < p.top - 1 || r.bottom > p.bottom + 1) out.push(`cut: ${name}`);
      // Of a line's box the middle is what is written.
      const mid = { left: r.left + 1, right: r.right - 1, top: r.top + r.height * 0.3, bottom: r.bottom - r.height * 0.3 };
      for (const [o, other] of seen) if (mid.left < o.right && mid.right > o.left && mid.top < o.bottom && mid.bottom > o.top) out.push(`${name} on ${other}`);
      seen.push([mid, name]);
    }
  }
  return out;
}"""  # noqa: E501

#: Units with long names, one of them foreign to the line's ends.
LONG = (
    "乌鲁木齐市公安局水磨沟区分局南湖北路派出所",
    "和田地区墨玉县公安局反诈中心",
    "Ürümqi South Lake North Road Police Station",
)


def crowd(house: Centre, wang: Actor, zhao: Actor) -> None:
    """Many units, long names, great sums, and a day on which much was done."""
    furnish(house, wang, zhao)
    now = clock.now()
    house.web.execute(
        "UPDATE units SET name = '巴音郭楞蒙古自治州公安局反电信网络诈骗犯罪侦查中心' WHERE code = 'centre'"
    )
    for n in range(23):
        name = LONG[n % 3] + str(n) if n % 4 == 0 else f"第{n}派出所"
        house.unit(f"u{n}", name, parent="centre")
        for m in range(1 + n % 5):
            house.alert(
                ("阿卜杜热西提·买买提艾力江", "欧阳娜娜")[m % 2], unit=f"u{n}", level=("urgent", "high")[n % 2],
                scam_type=("authority", "customer_service", "loan", "game_trade", "army_purchase")[m], now=now,
                amount_fen=18_235_000_000, ago=timedelta(seconds=n + m),
            )  # fmt: skip
    for n in range(12):
        result, code = (("met", "dissuaded"), ("self", "dissuaded"), ("met", "deceived"))[n % 3]
        worked(house, wang, house.alert(now=now, ago=timedelta(seconds=5)), result, code, 1_823_512_300, now)


@pytest.mark.browser
@pytest.mark.parametrize("language", ["zh", "en"])
@pytest.mark.parametrize("busy", [False, True], ids=["quiet", "busy"])
def test_the_wall_is_one_page_of_which_nothing_is_cut(
    page: Page, address: str, house: Centre, wang: Actor, zhao: Actor, busy: bool, language: str
) -> None:
    house.officer("lin", "林", "commander", language=language)
    if busy:
        crowd(house, wang, zhao)
    log_in(page, address, "lin")
    faults: list[str] = []
    for width in (1920, 3840):
        page.set_viewport_size({"width": width, "height": width * 9 // 16})
        page.goto(f"{address}/wall")
        faults += [f"{width}: {fault}" for fault in page.evaluate(FAULTS, width / 1920)]
        if busy:
            assert page.locator(".units tfoot").inner_text().split()[0] in ("共26个单位", "All")
    assert faults == [], "\n".join(faults)
