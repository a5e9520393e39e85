"""One decision: what the owners said of a pending transfer, what the policy makes of it, and the record of both.

Kept true here: the record holds all that the decision rests on (figures, evidence with its rules' versions, place in
the log, book and policy by their digest), so that it is explained without the log and without today's rules.
"""

from __future__ import annotations

import hashlib
from datetime import datetime
from typing import Any

import msgspec

from wuzha.events import clock
from wuzha.events.money import yuan

from .asking import Heard
from .decision_policy import FACTS, Facts, Policy, ends_at
from .decision_records import Record
from .decision_words import Side

SIDES = ("payer", "payee", "payer_person", "payee_person")
_JSON = msgspec.json.Encoder()
_NOBODY = Side()


class Question(msgspec.Struct, omit_defaults=True):
    """A pending transfer as it was asked about, checked. ``ts`` is when it is to happen."""

    payer: str
    payee: str
    amount_fen: int
    ts: datetime
    device: str | None = None
    payer_balance_fen: int | None = None
    channel: str | None = None
    merchant_id: str | None = None

    def transfer(self, source: str) -> tuple[int, str, str, int, str, str | None, int | None, str | None, bool]:
        """As `asking.Asker.ask` takes it."""
        return (
            round(self.ts.timestamp() * 1_000_000), self.payer, self.payee, self.amount_fen, source, self.device,
            self.payer_balance_fen, self.channel, self.merchant_id is not None,
        )  # fmt: skip


def digest(question: bytes) -> bytes:
    """Which question it was: the same key may only stand for the same one."""
    return hashlib.sha256(question).digest()


def facts(heard: Heard) -> Facts:
    """What the policy reads, in the order of `decision_policy.FACTS`."""
    payer, payee, person, _ = (s or _NOBODY for s in heard.sides())
    answers = list(heard.by.values())
    return (
        person.level, person.was_level, person.fired > 0, person.interdict, len(payer.suspect) > 0, payer.confirmed,
        len(payee.suspect) > 0, payee.confirmed, payee.level, payee.cleared,
        # of the two owners one may know less of both sides than the other
        all([a.stranger for a in answers]), any([a.own for a in answers]), any([a.merchant for a in answers]),
        payer.known, payee.known, "payer" not in heard.by, "payee" not in heard.by,
    )  # fmt: skip


def decide(policy: Policy, question: Question, heard: Heard, now: datetime) -> tuple[dict[str, Any], bytes]:
    """The answer as it is told (without its number), and the record's JSON."""
    found = tuple(map(int, facts(heard)))
    step = policy.step(found, question.amount_fen)
    until = ends_at(step, now)
    sides = {name: side for name, side in zip(SIDES, heard.sides(), strict=True) if side is not None}
    person = sides.get("payer_person", _NOBODY)
    answer: dict[str, Any] = {
        "action": step.action if step else "allow", "step": step.id if step else None, "at": now, "ends_at": until,
        "missing": heard.missing, "scam_type": person.scam_type, "level": person.level,
    }  # fmt: skip
    if step is not None:
        answer |= policy.words(step, person.scam_type or "other")
        answer["reasons"] = [
            {"side": name, "rule": r.rule, "version": r.version, "zh": r.zh, "en": r.en}
            for name, side in sides.items() for r in side.reasons
        ]  # fmt: skip
        for kind, ground in (("basis", step.basis), ("remedy", step.remedy)):
            if ground is not None:
                answer[kind] = {"id": ground.id, "since": ground.since, "zh": ground.zh, "en": ground.en}
    answer["state"] = {
        "owners": [
            {"side": side, "partition": a.partition, "epoch": a.epoch, "position": a.position, "rows": a.rows,
             "rules": a.book}
            for side, a in heard.by.items()
        ],
        "policy": {"id": policy.id, "since": policy.since, "digest": policy.digest},
    }  # fmt: skip
    record = {"question": question, "answer": answer, "facts": dict(zip(FACTS, found, strict=True)), "sides": sides}
    return answer, _JSON.encode(record)


def record_of(
    *, key_id: int, source_id: int, key: str, asked: bytes, policy: Policy, heard: Heard, answer: dict[str, Any],
    record: bytes, now: datetime,
) -> Record:  # fmt: skip
    """The row that keeps it."""
    answers = list(heard.by.values())
    until = answer["ends_at"]
    payer, payee = (
        (a.names, a.figures) if (a := heard.by.get(side)) is not None and a.names else None
        for side in ("payer", "payee")
    )
    return Record(
        key_id=key_id, source_id=source_id, key=key, asked=asked, at=now.isoformat(), n=1, action=answer["action"],
        ends_at=until.isoformat() if until else None, missing=heard.missing, rules=answers[0].book if answers else None,
        policy=policy.digest, position=min(a.position for a in answers) if answers else None, record=record,
        owners=tuple({(a.partition, a.epoch) for a in answers}), figures=(payer, payee),
    )  # fmt: skip


_SIDE = {
    "zh": {"payer": "付款账户", "payee": "收款账户", "payer_person": "付款人", "payee_person": "收款人"},
    "en": {"payer": "Paying account", "payee": "Receiving account", "payer_person": "Payer", "payee_person": "Payee"},
}
_ACTION = {
    "zh": {"allow": "放行", "warn": "提醒后由客户决定", "delay": "延迟到账", "hold": "暂停办理"},
    "en": {"allow": "allowed", "warn": "warned, the customer decides", "delay": "delayed", "hold": "held"},
}
_LEVEL = {"zh": ("无", "低危", "中危", "高危", "紧急"), "en": ("none", "low", "medium", "high", "urgent")}


def _moment(text: str) -> str:
    """A time of a record as people here read it."""
    return datetime.fromisoformat(text).astimezone(clock.zone()).strftime("%Y-%m-%d %H:%M:%S")


def explain(record: dict[str, Any], language: str) -> list[str]:
    """Why it was decided so, as sentences (``zh`` or ``en``), from the record alone."""
    zh = language == "zh"
    question, answer, sides = record["question"], record["answer"], record["sides"]
    amount, payer, payee = yuan(int(question["amount_fen"])), question["payer"], question["payee"]
    at = _moment(answer["at"])
    out = [
        f"{at}：银行询问账户{payer}向账户{payee}转账{amount}元是否可以办理。" if zh
        else f"{at}: a bank asked about {amount} yuan from account {payer} to account {payee}."
    ]  # fmt: skip
    for side in answer["missing"]:
        name = _SIDE[language][side]
        out.append(
            f"{name}一方的负责分区在期限内没有答复，未计入。" if zh
            else f"{name}: the owner of its state had not answered at the deadline and does not count."
        )  # fmt: skip
    for name in SIDES:
        if name not in sides:
            continue
        side = sides[name]
        who, level, was = _SIDE[language][name], side.get("level", 0), side.get("was_level", 0)
        if not side.get("known", False):
            out.append(f"{who}：此前没有任何记录。" if zh else f"{who}: nothing was known before.")
        if level or was:
            word = _LEVEL[language]
            kind = side.get(f"typology_{language}") or "—"
            out.append(
                f"{who}：等级{word[level]}（不计此笔为{word[was]}），手法“{kind}”。" if zh
                else f"{who}: level {word[level]} ({word[was]} without this transfer), typology {kind}."
            )  # fmt: skip
        for mark, words in (
            ("confirmed", ("已认定涉诈。", "confirmed as used for fraud.")),
            ("cleared", ("已核实排除。", "cleared after a check.")),
            ("suspect", ("引擎判为涉诈可疑。", "judged a suspect by the engine.")),
        ):
            if side.get(mark):
                out.append(f"{who}：{words[0]}" if zh else f"{who}: {words[1]}")
        for reason in side.get("reasons", []):
            fresh = ("（由此笔转账触发）" if zh else " (given by this transfer)") if reason.get("fresh") else ""
            rule = f"[{reason['rule']} v{reason['version']}]"
            out.append(f"{who}：{reason[language]}{fresh}{rule}" if zh else f"{who}: {reason[language]}{fresh} {rule}")
    action = _ACTION[language][answer["action"]]
    out.append(f"处理：{action}。" if zh else f"Done: {action}.")
    if answer["step"] is None:
        out.append("策略中没有一步成立。" if zh else "No step of the policy held.")
    else:
        out.append(
            f"依据策略{answer['state']['policy']['id']}的“{answer['step']}”：{answer['clerk']['zh']['why']}。" if zh
            else f"Step {answer['step']} of policy {answer['state']['policy']['id']}: {answer['clerk']['en']['why']}."
        )  # fmt: skip
    if answer["ends_at"]:
        out.append(
            f"{_moment(answer['ends_at'])}自动结束。" if zh else f"It ends by itself at {_moment(answer['ends_at'])}."
        )
    for kind, words in (("basis", ("法律依据", "Basis")), ("remedy", ("救济渠道", "Remedy"))):
        if kind in answer:
            out.append(f"{words[0]}：{answer[kind]['zh']}。" if zh else f"{words[1]}: {answer[kind]['en']}.")
    for owner in answer["state"]["owners"]:
        who = _SIDE[language][owner["side"]]
        out.append(
            f"{who}一方按日志第{owner['position']}批为止的状态判断，规则集{owner['rules'][:12]}。" if zh
            else f"{who}: judged on the state up to batch {owner['position']} of the log, rules {owner['rules'][:12]}."
        )  # fmt: skip
    return out
