"""What scams run on: hotels' lines with a VOIP box, stolen SIMs of child watches, SIM boxes, rented accounts.

Kept true here: a line that is misused keeps its register row and its owner's ordinary calls; only what it does changes.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from . import draw
from .rows import Labels
from .stage import CALLING, Stage, clock_times, lognormal
from .world import DAY

if TYPE_CHECKING:
    from .play import Crew
    from .scripts import Script


class Infrastructure:
    """Lines and accounts in criminal hands."""

    def __init__(self, stage: Stage, scripts: list[Script], counts: list[int]) -> None:
        self.stage = stage
        w, rng = stage.world, stage.stream("infrastructure")
        self.rng = rng
        need = {"hotel": 0.0, "watch": 0.0, "goip": 0.0}
        self.users: dict[str, list[Script]] = {k: [] for k in need}
        for script, count in zip(scripts, counts, strict=True):
            total = sum(script.crew.lines.values())
            for kind, weight in script.crew.lines.items():
                if kind in need and count:
                    need[kind] += count * weight / total
                    if weight:
                        self.users[kind].append(script)
        k = min(len(w.hotel_lines) // 3, max(3, int(np.ceil(need["hotel"] / 12)))) if need["hotel"] else 0
        self.hotels = self._spread(w.hotel_lines, k)
        k = min(len(w.watches) // 3, int(np.ceil(need["watch"] / 5)) + 1) if need["watch"] else 0
        self.watches = self._spread(w.watches, k)
        self.watch_from = (
            rng.integers(0, max(1, stage.days - 1), len(self.watches)) * DAY
            + rng.integers(9, 18, len(self.watches)) * 3600
        )
        boxes = int(np.ceil(need["goip"] / 25)) if need["goip"] else 0
        self.boxes: list[dict[str, Any]] = []
        for _ in range(boxes):
            sims = w.like_lines(int(rng.integers(10, 40)), kinds=(draw.MOBILE,))
            old = rng.random(len(sims)) < 0.6
            w.lines["opened"][sims[~old]] = -rng.integers(1, 30, int((~old).sum())) * DAY
            slots = w.devices(max(4, len(sims) // 2))
            # One make of box: device numbers of one type, one after another.
            base = int(w.device_numbers[slots[0]]) // 10
            w.device_numbers[slots] = [(base + 7 * i) * 10 + i % 10 for i in range(len(slots))]
            self.boxes.append({"sims": sims, "slots": slots, "cell": int(rng.integers(0, w.n_cells))})
        self.everywhere = np.concatenate([w.outside_mobile, w.outside_fixed])

    def _spread(self, lines: Any, k: int) -> Any:
        """``k`` of the lines, over the carriers in the shares that the carriers have of all lines.

        A few lines make thousands of calls: were they all one carrier's, the carrier would give them away.
        """
        w, rng = self.stage.world, self.rng
        mixed = rng.permutation(lines)
        mixed = mixed[np.argsort(w.lines["carrier"][mixed], kind="stable")]
        place = (np.arange(k) + rng.random()) / max(k, 1) * len(mixed)
        return mixed[np.floor(place).astype(np.int64)]

    def lines(self, crew: Crew, script: Script, rng: Any) -> int:
        """A line to call from, by the script's weights; one of the crew's own where there is no other."""
        kinds = list(script.crew.lines)
        kind = kinds[int(draw.pick(rng, list(script.crew.lines.values()), 1)[0])]
        pool: Any = crew.lines
        if kind == "hotel" and len(self.hotels):
            pool = self.hotels
        elif kind == "watch" and len(self.watches):
            pool = self.watches
        elif kind == "goip" and self.boxes:
            pool = self.boxes[int(rng.integers(0, len(self.boxes)))]["sims"]
        return int(rng.choice(pool))

    def mule(self, crew: Crew, script: Script, rng: Any, layer: bool = False) -> int:
        """A rented account: of the crew's, or a new one. Layers below the first are shared within the crew."""
        pool = crew.layers if layer else crew.accounts
        enough = 14 if layer else 6
        if len(pool) >= 3 and rng.random() < min(0.9, len(pool) / enough):
            return int(pool[int(rng.integers(0, len(pool)))])
        w, m = self.stage.world, script.money
        kind = "corporate" if not layer and rng.random() < m.corporate else "personal"
        a = int(w.like_accounts(1, kind)[0])
        chance = rng.random()
        if chance < m.dormant:
            w.accounts["last"][a] = min(int(w.accounts["last"][a]), -int(rng.integers(95, 900)) * DAY)
            w.accounts["opened"][a] = min(int(w.accounts["opened"][a]), int(w.accounts["last"][a]) - 40 * DAY)
            w.accounts["status"][a] = 1 if w.accounts["last"][a] < -180 * DAY else 0
        elif chance < m.dormant + m.fresh:
            w.accounts["opened"][a] = -int(rng.integers(1, 30)) * DAY
            w.accounts["last"][a] = int(w.accounts["opened"][a]) // 2
            w.accounts["status"][a] = 0
        w.accounts["opening"][a] = int(rng.integers(0, 80)) * 100
        pool.append(a)
        return a

    # ------------------------------------------------------------------ dialling

    def _scam(self, kind: str, serial: int) -> int:
        script = self.users[kind][serial % len(self.users[kind])]
        stage = self.stage
        name = draw.id_texts(draw.scrambled(1, stage.seed, 17, len(stage.scams)), 10)[0].as_py()
        stage.scams.append((name, script.scam_type, script.name))
        return len(stage.scams) - 1

    def dial(self, stage: Stage) -> None:
        """The calls that these lines make all day, nearly all in vain, and the traces of their set-up."""
        w, rng, rows = stage.world, self.rng, stage.rows["calls"]
        for i, line in enumerate(self.hotels.tolist()):
            scam = self._scam("hotel", i)
            first = int(rng.integers(0, max(1, stage.days - 2)))
            hotel = int(np.flatnonzero(w.hotel_lines == line)[0])
            cell = int(w.hotel_cell[hotel])
            for day in range(first, stage.days):
                n = int(rng.integers(220, 520))
                self._burst(stage, rows, scam, line, day, n, cell, int(w.lines["device"][line]), rng)
                self._ring_backs(stage, rows, scam, line, day, cell, rng)
        for i, line in enumerate(self.watches.tolist()):
            scam = self._scam("watch", i)
            start = int(self.watch_from[i])
            device = int(w.devices(1)[0])
            cell = int(rng.integers(0, w.n_cells))
            for day in range(start // DAY, min(start // DAY + 2, stage.days)):
                self._burst(stage, rows, scam, line, day, int(rng.integers(60, 160)), cell, device, rng, start)
        for i, box in enumerate(self.boxes):
            scam = self._scam("goip", i)
            for line in box["sims"].tolist():
                born = int(rng.integers(-3, stage.days))
                for day in range(max(0, born), min(stage.days, born + int(rng.integers(1, 4)))):
                    device = int(rng.choice(box["slots"]))
                    self._burst(stage, rows, scam, line, day, int(rng.integers(60, 180)), box["cell"], device, rng)

    def _burst(
        self, stage: Stage, rows: Any, scam: int, line: int, day: int, n: int, cell: int, device: int, rng: Any,
        start: int = 0,
    ) -> None:  # fmt: skip
        w = stage.world
        sec = day * DAY + clock_times(rng, 1, CALLING, n)
        sec = sec[(sec >= start) & (sec < stage.end)]
        n = len(sec)
        local = rng.random(n) < 0.06
        callee = np.where(local, rng.integers(0, w.n, n), rng.choice(self.everywhere, n))
        person = np.where(local, callee, -1)
        answered = rng.random(n) < 0.55
        dur = np.where(answered, np.clip(lognormal(rng, 17, 110, n), 1, 3600), 0).astype(np.int64)
        # Most calls are reported by the network of whoever is called; its own network sees box and cell.
        theirs = rng.random(n) < 0.6
        inside = np.where(local, callee, 0)
        rows.add(
            n, Labels(scam=scam, stage=0, step=0, person=person), sec=sec, caller=line, callee=callee, dur=dur,
            rep=np.where(theirs, callee, line), device=np.where(theirs, -2, device),
            cell=np.where(theirs, np.where(local, stage.cell(inside, sec), -1), cell),
        )  # fmt: skip

    def _ring_backs(self, stage: Stage, rows: Any, scam: int, line: int, day: int, cell: int, rng: Any) -> None:
        n = int(rng.integers(5, 30))
        sec = day * DAY + clock_times(rng, 1, CALLING, n)
        rows.add(
            n,
            Labels(scam=scam, stage=0, step=5, person=-1),
            sec=sec,
            caller=rng.choice(self.everywhere, n),
            callee=line,
            dur=rng.integers(1, 3, n),
            rep=line,
            cell=cell,
        )
