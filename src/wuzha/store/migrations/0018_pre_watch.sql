-- Runs of fingerprints that are full know which times they hold; processes tell how they fare.
-- Run as wuzha_owner.

SET LOCAL search_path = wuzha;

-- At a province's rate a day has some thousand runs: a row is sought in those that hold its time.
ALTER TABLE log_runs ADD COLUMN first_ts bigint, ADD COLUMN last_ts bigint;  -- µs; null: anywhere in its day

-- What each process of the deployment last told of itself: figures only, never a row.
CREATE TABLE watch (
    process  text NOT NULL CHECK (length(process) BETWEEN 1 AND 60),   -- engine:0, keeping …
    at       timestamptz NOT NULL,                                     -- the database's own time
    figures  jsonb NOT NULL CHECK (length(figures::text) <= 20000),
    PRIMARY KEY (process)
);
ALTER TABLE watch ENABLE ROW LEVEL SECURITY;
ALTER TABLE watch FORCE ROW LEVEL SECURITY;
CREATE POLICY watch_engine ON watch TO wuzha_engine USING (true) WITH CHECK (true);
CREATE POLICY watch_read ON watch FOR SELECT TO wuzha_web USING (true);
GRANT SELECT, INSERT, UPDATE, DELETE ON watch TO wuzha_engine;
GRANT SELECT ON watch TO wuzha_web;
