"""Relations: the only place where subjects are joined, and always as of the event's time."""

from .table import FLOAT, TEXT, TIME, Column, Table

ROLES = (
    "registrant",
    "user",
    "holder",
    "kin",
    "spouse",
    "parent",
    "child",
    "guardian",
    "employer",
    "colleague",
    "same_person",
    "not_same_person",
)

RELATIONS = Table(
    name="relations",
    zh="关系",
    en="Relations",
    late_allowance_s=3650 * 86400,
    columns=(
        Column(name="subject", type=TEXT, zh="对象", en="subject key", subject="key", required=True),
        Column(
            name="other", type=TEXT, zh="关联对象", en="subject key, as a rule a person's", subject="key", required=True
        ),
        Column(name="role", type=TEXT, zh="关系", en="what ``other`` is to ``subject``", values=ROLES, required=True),
        Column(name="valid_from", type=TIME, zh="起", en="from; null: always"),
        Column(name="valid_to", type=TIME, zh="止", en="until, not included; null: still"),
        Column(name="confidence", type=FLOAT, zh="可信度", en="0–1; null: 1"),
    ),
)
