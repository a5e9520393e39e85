-- Feedback: what came in a workbook, what each warning's sender is owed, and what became of it.
-- Run as wuzha_owner.

SET LOCAL search_path = wuzha;
