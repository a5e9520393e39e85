-- Protective measures, follow-up and looking back.
-- Run as wuzha_owner.

SET LOCAL search_path = wuzha;
