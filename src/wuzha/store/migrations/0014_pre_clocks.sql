-- Clocks: the order of work by the hour, late requests for release, a deployment's own table of clocks.
-- Run as wuzha_owner.

SET LOCAL search_path = wuzha;

-- ---------------------------------------------------------------- requests for release that nobody answers

ALTER TABLE release_requests ADD COLUMN raised_at timestamptz,              -- its day was over: told to the unit above
                             ADD COLUMN raised_to bigint REFERENCES units;
GRANT UPDATE (raised_at, raised_to) ON release_requests TO wuzha_web;
CREATE INDEX release_requests_waiting ON release_requests (asked_at) WHERE answered_at IS NULL;
