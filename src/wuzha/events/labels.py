"""Ground truth of the synthetic city. Never in a server's database, never read by ``detect``.

``source``, ``event_id`` and ``ts`` are those of the event that the row speaks of.
"""

from .table import TEXT, Column, Table
from .warnings import STAGES

STEPS = ("lure", "credit", "loss", "move", "exit", "device")

LABELS = Table(
    name="labels",
    zh="真值标签",
    en="Ground truth of the city",
    columns=(
        Column(name="table", type=TEXT, zh="表", en="table of the event", required=True),
        Column(name="scam_id", type=TEXT, zh="案件标识", en="which scam; null for innocent look-alikes"),
        Column(name="scam_type", type=TEXT, zh="诈骗类型", en="scam type"),
        Column(name="script", type=TEXT, zh="剧本", en="script file's name"),
        Column(name="stage", type=TEXT, zh="阶段", en="stage", values=STAGES),
        Column(name="step", type=TEXT, zh="环节", en="what the event does", values=STEPS),
        Column(name="person", type=TEXT, zh="受害人", en="the victim, or whom a warning truly means", subject="person"),
        Column(name="look_alike", type=TEXT, zh="相似正常行为", en="kind of innocent behaviour, else null"),
    ),
)
