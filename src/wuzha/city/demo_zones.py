"""The demo's zones outside the police network: the public page and the officers' phones, each a server of its own.

Kept true here: a zone has its own folder, database and keys; between it and the centre there are only two folders of
letters; nothing is made twice.
"""

from __future__ import annotations

from pathlib import Path

from wuzha.store import zone_keys
from wuzha.store.settings import make_home

ZONES = ("public", "phone")
_CENTRE = "centre"


def introduce(data: Path) -> None:
    """Make the keys of the centre and of both zones where they are missing, and let them know each other."""
    for name in (_CENTRE, *ZONES):
        home = data / name
        make_home(home)
        zone = zone_keys.load(home) or zone_keys.make(home, name)
        (data / f"{name}.card").write_text(zone.card.text(), "utf-8")
    for name in ZONES:
        out, back = data / "letters" / f"to-{name}", data / "letters" / f"from-{name}"
        for folder in (out, back):
            folder.mkdir(parents=True, exist_ok=True)
        # At each start, since the folder may have been moved since.
        zone_keys.trust(data / _CENTRE, data / f"{name}.card", inbox=back, outbox=out)
        zone_keys.trust(data / name, data / f"{_CENTRE}.card", inbox=out, outbox=back)
