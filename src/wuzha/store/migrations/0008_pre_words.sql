-- Words and the exchange: phrases that dissuaders edit, and what crosses between networks.
-- Run as wuzha_owner.

SET LOCAL search_path = wuzha;
