"""Scams: crews run scripts against people, step by step.

Kept true here: a person is the target of one script at a time; the number of victims is what was asked for; whatever a
script does not show of a victim (``p``, ``silent``) leaves no row at all, so that some victims cannot be seen coming.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from . import draw, texts
from .infrastructure import Infrastructure
from .play import Crew, Play, slots
from .rows import Labels
from .scripts import Script
from .stage import CHANNELS, Stage, lognormal
from .world import DAY, OCC

#: Share of the people who lose money in a week, unless another is asked for.
SCAM_RATE = 0.007
#: Residents from which on there is a victim even where the rate gives less than one. In a smaller place the innocent
#: look-alikes would be too few beside one.
_ENOUGH = 200
#: Of those drawn in before the city's last day whose first loss lies beyond it, how many are kept as they stand.
_UNFINISHED = 0.3


def enact(stage: Stage, scripts: list[Script], rate: float) -> None:
    """All scams of the city."""
    w = stage.world
    able = np.flatnonzero((w.account >= 0) & (w.age >= 14))
    total = round(w.n * rate * stage.days / 7)
    if total == 0 and rate > 0 and w.n >= _ENOUGH:
        total = 1
    counts = _allot(scripts, min(total, len(able) // 3))
    infra = Infrastructure(stage, scripts, counts)
    taken = np.zeros(w.n, bool)
    for script, count in zip(scripts, counts, strict=True):
        _run(stage, script, count, infra, taken, stage.stream("scam " + script.name))
    infra.dial(stage)


def _allot(scripts: list[Script], total: int) -> list[int]:
    """Victims by script: by weight, with at least two of each where there are enough."""
    least = min(2, total // len(scripts))
    weights = np.array([s.weight for s in scripts])
    share = weights / weights.sum() * (total - least * len(scripts))
    counts = np.floor(share).astype(int)
    order = np.argsort(-(share - counts), kind="stable")
    counts[order[: total - least * len(scripts) - counts.sum()]] += 1
    return [int(c) + least for c in counts]


def _run(stage: Stage, script: Script, count: int, infra: Infrastructure, taken: Any, rng: Any) -> None:
    victims = 0
    tries = 0
    crew, left = None, 0
    while victims < count and tries < count * 60 + 60:
        tries += 1
        if crew is None or left <= 0:
            crew = _crew(stage, script, infra, rng)
            left = int(rng.integers(script.crew.victims[0], script.crew.victims[1] + 1))
        person = _target(stage, script, taken, rng)
        if person is None:
            break
        play = Play(stage, script, crew, person, rng, infra)
        play.perform(_first_contact(stage, script, rng))
        inside = [loss for loss in play.file.losses if 0 <= loss[0] < stage.end]
        if not inside and not (play.quit and play.seen) and not (play.seen and rng.random() < _UNFINISHED):
            continue
        # Who had lost before the city's first day is left out: the loss that matters would not be in the data.
        if inside and min(loss[0] for loss in play.file.losses) < 0:
            continue
        if play.quit and rng.random() < 0.4:
            continue
        taken[person] = True
        play.commit()
        if inside:
            victims += 1
            left -= 1
            play.file.losses = inside
            stage.files.append(play.file)
            _attempts(stage, script, crew, infra, rng)


def _first_contact(stage: Stage, script: Script, rng: Any) -> float:
    day = int(np.floor(rng.uniform(-script.lead_days, stage.days)))
    if script.workdays_only:
        while (stage.start.weekday() + day) % 7 >= 5:
            day -= 1
    hour = int(draw.pick(rng, script.hours, 1)[0])
    return day * DAY + hour * 3600.0 + float(rng.integers(0, 3600))


def _target(stage: Stage, script: Script, taken: Any, rng: Any) -> int | None:
    w, v = stage.world, script.victim
    for _ in range(400):
        person = int(rng.integers(0, w.n))
        if taken[person] or w.account[person] < 0 or w.age[person] < 14:
            continue
        inside = v.age[0] <= w.age[person] <= v.age[1]
        if not inside and rng.random() > (1 - v.share) * 0.8:
            continue
        if rng.random() > (v.female if w.female[person] else 1 - v.female) / max(v.female, 1 - v.female):
            continue
        most = max([1.0, *v.occupations.values()])
        weight = next((x for o, x in v.occupations.items() if OCC[o] == w.occupation[person]), 1.0)
        if rng.random() < weight / most:
            return person
    return None


def _crew(stage: Stage, script: Script, infra: Infrastructure, rng: Any) -> Crew:
    w = stage.world
    own = w.like_lines(int(rng.integers(4, 9)), script.crew.new_lines)
    handlers = w.like_lines(int(rng.integers(2, 5)), script.crew.new_lines)
    return Crew(
        script, own, handlers, int(w.add_apps(1)[0]), w.add_sites(int(rng.integers(1, 4))), device=int(w.devices(1)[0])
    )  # fmt: skip


def _attempts(stage: Stage, script: Script, crew: Crew, infra: Infrastructure, rng: Any) -> None:
    """Contacts that lead nowhere, by the crew's own lines (hotels, watches and boxes dial on their own account)."""
    w, a = stage.world, script.attempts
    n = int(rng.integers(a.per_victim[0], a.per_victim[1] + 1))
    if n == 0:
        return
    stage.scams.append(
        (
            draw.id_texts(draw.scrambled(1, stage.seed, 17, len(stage.scams)), 10)[0].as_py(),
            script.scam_type,
            script.name,
        )
    )
    scam = len(stage.scams) - 1
    person = rng.integers(0, w.n, n)
    # A line is worked for some hours and then dropped.
    begin = int(rng.integers(0, stage.days)) * DAY
    hour = draw.pick(rng, script.hours, n)
    sec = begin + hour.astype(np.int64) * 3600 + rng.integers(0, 3600, n)
    who = Labels(scam=scam, stage=0, step=0, person=person)
    if a.do == "message":
        group = stage.texts.codes(
            [texts.fill(stage, t, rng, **slots(stage, crew, rng)) for t in script.texts[a.texts] for _ in (0, 1)]
        )
        sender = rng.choice(crew.lines, n) if a.channel == "sms" else rng.choice(crew.handlers, n)
        stage.rows["messages"].add(
            n,
            who,
            sec=sec,
            sender=sender,
            recipient=person,
            channel=CHANNELS.index(a.channel),
            text=rng.choice(group, n),
        )
    else:
        dur = np.where(rng.random(n) < a.answered, np.clip(lognormal(rng, *a.seconds, n), 1, 3600), 0).astype(np.int64)
        stage.rows["calls"].add(
            n,
            who,
            sec=sec,
            caller=rng.choice(crew.lines, n),
            callee=person,
            dur=dur,
            rep=person,
            cell=stage.cell(person, sec),
        )
    for i in np.flatnonzero(rng.random(n) < 0.05).tolist():
        stage.hints.append({"sec": int(sec[i]), "person": int(person[i]), "feeds": {"carrier": 1.0}, "scam": scam,
                            "stage": "approach", "line": int(crew.lines[0]), "app": -1, "site": -1, "account": -1,
                            "amount": -1, "type": script.scam_type})  # fmt: skip
