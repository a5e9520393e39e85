"""The papers of a refund: application, table of the flow, request for approval, decision, public notice, bank notice.

Kept true here: no decision is written before it was issued and no bank notice before it was sent; each paper names the
ordering rule and the way by which shares were computed; the public notice shows nobody's name or number in full.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from typing import Any

from wuzha.command.public import Refused
from wuzha.events import clock, subjects
from wuzha.events.money import yuan

from . import words
from .law import law_of
from .word import Sheet

#: What the bank fills in and sends back.
RECEIPT = ("办理结果", "实际返还金额（元）", "返还时间", "回执编号", "未（全部）返还的原因", "经办人（盖章）")


def _time(at: datetime | None) -> str:
    if at is None:
        return ""
    local = at.astimezone(clock.zone())
    return f"{local.year}年{local.month}月{local.day}日{local.hour}时{local.minute:02d}分"


def _day(at: datetime) -> str:
    local = at.astimezone(clock.zone())
    return f"{local.year}年{local.month}月{local.day}日"


def _frozen(r: dict[str, Any]) -> list[tuple[str, str]]:
    plan = r["plan"]
    return [
        ("案件编号", r["case_no"]), ("冻结单位", r["unit_name"]), ("冻结账户", r["account"]),
        ("户名", r["holder"] or "（以账号为准）"), ("开户行", r["bank"] or ""),
        ("冻结金额", f"{yuan(plan['balance_fen'])} 元"),
    ]  # fmt: skip


def _reckoned(r: dict[str, Any]) -> list[tuple[str, str]]:
    plan = r["plan"]
    return [
        ("返还方式", words.way(plan["way"])), ("先后规则", words.rule(plan["rule"])),
        ("返还合计", f"{yuan(plan['returned_fen'])} 元"), ("继续冻结", f"{yuan(plan['stays_fen'])} 元"),
    ]  # fmt: skip


def _to(share: dict[str, Any], victim: dict[str, Any]) -> tuple[str, str]:
    """Account and bank that a share goes to, and why not the original where it is another."""
    told = victim["application"]
    if told is not None and told["account_id"] is not None:
        return told["other"], f"{told['account_bank'] or ''}（非原账户：{told['account_why']}）"
    return share["original"] or "（原转出账户待查）", share["original_bank"] or ""


def _shares(sheet: Sheet, r: dict[str, Any]) -> None:
    rows = []
    for victim in r["victims"]:
        for share in victim["shares"]:
            account, bank = _to(share, victim)
            rows.append((victim["name"] or "", yuan(share["lost_fen"]), yuan(share["outstanding_fen"]),
                         yuan(share["share_fen"]), account, bank))  # fmt: skip
    lost, left = (yuan(sum(v[name] for v in r["victims"])) for name in ("lost_fen", "outstanding_fen"))
    rows.append(("合计", lost, left, yuan(r["plan"]["returned_fen"]), "", ""))
    sheet.table(("被害人", "被骗（元）", "尚未追回（元）", "返还（元）", "返还账户", "开户行"), rows, right=(1, 2, 3))


def application(r: dict[str, Any], victim: dict[str, Any]) -> bytes:
    """返还申请表 of one victim: filled with what is known, the rest by hand."""
    told, handed = victim["application"], victim["handover"]
    sheet = Sheet("电信网络新型违法犯罪案件冻结资金返还申请表")
    account, bank = _to(victim["shares"][0], victim)
    sheet.facts(
        [
            ("申请编号", told["ref"] if told else ""), ("姓名（名称）", victim["name"] or ""),
            ("证件号码", victim.get("id_no") or ""), ("联系方式", victim.get("line") or ""), ("现住址", ""),
            ("代理人及委托书", (told or {}).get("mandate") or "（本人办理）"),
            ("返还银行账户", f"{account}　{bank}"),
            ("立案单位", handed["organ"] if handed else r["unit_name"]),
            ("立案编号", handed["case_no"] if handed else r["case_no"]),
            ("被骗金额", f"{yuan(victim['lost_fen'])} 元"),
            ("立案单位意见", "办案人（两名）签名：　　　　　　（盖章）　　年　月　日"), *_frozen(r),
            ("冻结单位意见", "办案人（两名）签名：　　　　　　（盖章）　　年　月　日"),
        ]
    )  # fmt: skip
    sheet.say("本人保证以上信息真实，愿意配合公安机关、银行办理返还。")
    sheet.sign("申请人（签名）：　　　　　　\n　　年　月　日")
    return sheet.done()


def report(r: dict[str, Any]) -> bytes:
    """呈请返还资金报告书. Refused("refund_not_now") before it was asked for."""
    asked = r["asked"]
    if asked is None:
        raise Refused("refund_not_now")
    procedure = law_of(r["law_from"]).procedure[r["procedure"]]
    sheet = Sheet("呈请返还资金报告书")
    sheet.facts([("领导批示", ""), ("审核意见", ""), ("批准级别", _LEVEL[procedure.level]), *_frozen(r), *_reckoned(r)])
    sheet.say("返还财产理由：", bold=True)
    for text in words.why_plan(r["plan"]):
        sheet.say(text)
    notice = r["notice"]
    if notice is not None:
        sheet.say(f"公告自{_day(notice['posted_at'])}至{_day(notice['ends_at'])}前一日，地点：{notice['place']}。")
        for one in [o for o in r["objections"] if o["decided_at"] is not None]:
            sheet.say(f"异议：{one['words']}；审核：{'成立' if one['upheld'] else '不成立'}，{one['reason']}。")
    _shares(sheet, r)
    for victim in r["victims"]:
        sheet.say(f"{victim['name'] or '被害人'}：{words.why_share(r['plan'], victim, r['whole_fen'])}")
    sheet.say(f"综上所述，根据{procedure.law_zh}，呈请对上述被害人涉案资金予以返还。妥否，请批示。")
    sheet.sign(f"{r['unit_name']}\n经办人：{asked['asker']}\n{_day(asked['asked_at'])}")
    return sheet.done()


_LEVEL = {"city": "设区的市一级以上公安机关", "county": "县级以上公安机关负责人"}


def decision(r: dict[str, Any]) -> bytes:
    """冻结资金返还决定书. Refused("refund_not_now") before it was issued."""
    made, asked = r["decision"], r["asked"]
    if made is None:
        raise Refused("refund_not_now")
    procedure = law_of(r["law_from"]).procedure[r["procedure"]]
    sheet = Sheet("电信网络新型违法犯罪冻结资金返还决定书")
    sheet.sign(made["decision_no"])
    sheet.say(
        f"我局在侦办{r['case_no']}案件中查明，公安机关冻结的{r['bank'] or ''}账户{r['account']}内资金"
        f"{yuan(r['plan']['returned_fen'])}元，确属下列被害人所有。根据{procedure.law_zh}之规定，决定返还如下："
    )
    _shares(sheet, r)
    sheet.facts(
        [*_reckoned(r), ("批准人", f"{asked['decided_unit_name']} {asked['decider']}"), ("签发人", made["sealer"])]
    )
    sheet.say("对本决定有异议的，可以向作出决定的公安机关或者其上一级公安机关申诉。")
    sheet.sign(f"{asked['decided_unit_name']}（盖章）\n{_day(made['decided_at'])}")
    return sheet.done()


def notice(r: dict[str, Any], now: datetime) -> bytes:
    """公告: what is to be returned, masked; who objects, where and until when."""
    table = law_of(r["law_from"])
    posted = r["notice"]
    sheet = Sheet("冻结资金返还公告")
    account = subjects.mask(subjects.key("account", r["account"]))
    sheet.say(
        f"{r['unit_name']}在侦办{r['case_no']}案件中，依法冻结账户{account}内资金"
        f"{yuan(r['plan']['balance_fen'])}元。经查，拟按下列方案返还被害人，现予公告，公告期{table.notice_days}日。"
    )
    sheet.facts(_reckoned(r))
    for text in words.why_plan(r["plan"]):
        sheet.say(text)
    sheet.table(
        ("被害人", "转出账户", "被骗（元）", "拟返还（元）"),
        [
            (subjects.mask_name(v["name"]) if v["name"] else "", subjects.mask(subjects.key("account", s["original"]))
             if s["original"] else "", yuan(s["lost_fen"]), yuan(s["share_fen"]))
            for v in r["victims"] for s in v["shares"]
        ],
        right=(2, 3),
    )  # fmt: skip
    sheet.say(
        "被害人、其他利害关系人对返还有异议的，或者其他被害人尚未报案的，请在公告期内持有效证件和证据材料向本单位提出；"
        "逾期没有异议的，将依法办理返还。"
    )
    until = (
        f"公告期：{_day(posted['posted_at'])}起，至{_day(posted['ends_at'])}零时止"
        if posted
        else "公告期：自张贴之日起"
    )
    sheet.say(until + "。")
    sheet.sign(f"{r['unit_name']}（盖章）\n{_day(posted['posted_at'] if posted else now)}")
    return sheet.done()


def bank(r: dict[str, Any]) -> bytes:
    """协助返还通知书, with the receipt that the bank sends back. Refused("refund_not_now") before it was sent."""
    made, payments = r["decision"], [p for p in r["payments"] if p["round"] == r["round"]]
    if made is None or not payments:
        raise Refused("refund_not_now")
    table = law_of(r["law_from"])
    sheet = Sheet("电信网络新型违法犯罪冻结资金协助返还通知书")
    sheet.say(f"{r['bank'] or '有关银行、支付机构'}：")
    sheet.say(
        f"根据{table.procedure[r['procedure']].law_zh}和{made['decision_no']}，请将下列冻结资金返还至所列账户。能够现场办理完毕的"
        f"现场办理；现场无法办理完毕的，在{table.bank_working_days}个工作日内办理完毕，并逐笔回执。"
    )
    due = _time(max(p["due_at"] for p in payments))
    sheet.facts([*_frozen(r), ("办理时限", f"{due}前"), ("办案人", "两名民警持有效人民警察证办理：　　　　　　")])
    names = {s["share_id"]: v["name"] for v in r["victims"] for s in v["shares"]}
    sheet.table(
        ("收款人", "收款账户", "开户行", "金额（元）", "说明"),
        [
            (names.get(p["share_id"]) or "", p["account"], p["account_bank"] or "", yuan(p["amount_fen"]),
             p["other_why"] or "原转出账户")
            for p in payments
        ],
        right=(3,),
    )  # fmt: skip
    sheet.say("户名、账号有一项不符的，不得办理，并即时反馈。")
    sheet.sign(f"{r['unit_name']}（盖章）\n{_day(max(p['sent_at'] for p in payments))}")
    sheet.title("回执", page=True)
    for payment in payments:
        sheet.facts(
            [("通知书文号", made["decision_no"]), ("收款账户", payment["account"]),
             ("金额（元）", yuan(payment["amount_fen"])), *((label, "") for label in RECEIPT)]
        )  # fmt: skip
    return sheet.done()


#: Papers of a whole refund by code; the application is a victim's, the flow stands in `flow_table`.
PAPERS: dict[str, Callable[[dict[str, Any], datetime], bytes]] = {
    "report": lambda r, _: report(r), "decision": lambda r, _: decision(r), "notice": notice,
    "bank": lambda r, _: bank(r),
}  # fmt: skip
#: When each can be written, as the page shows it.
READY: dict[str, Callable[[dict[str, Any]], bool]] = {
    "flow": lambda r: True, "notice": lambda r: bool(r["plan"]["returned_fen"]),
    "report": lambda r: r["asked"] is not None, "decision": lambda r: r["decision"] is not None,
    "bank": lambda r: bool(r["payments"]),
}  # fmt: skip
