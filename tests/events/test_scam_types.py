"""One list of scam types."""

from wuzha.events.scam_types import by_feed_code, parent, scam_types


def test_parents_exist_and_feed_codes_are_unambiguous():
    types = scam_types()
    assert len(by_feed_code()) == sum(len(t.feeds) for t in types.values())
    assert parent("investment.pig_butchering") == "investment"
    assert all(t.parent is None or t.code.startswith(t.parent + ".") for t in types.values())
    assert {"task_rebate", "authority", "net_black.sextortion", "other", "none"} <= set(types)
