-- Duty: shifts, hand-over, overflow, escalation, transfers between units.
-- Run as wuzha_owner.

SET LOCAL search_path = wuzha;
