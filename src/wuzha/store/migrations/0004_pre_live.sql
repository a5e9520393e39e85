-- Live: an alert goes along when its person turns out to be another one.
-- Run as wuzha_owner.

SET LOCAL search_path = wuzha;

ALTER TABLE alerts ADD COLUMN merged_into bigint REFERENCES alerts;   -- the alert that carries this one's evidence on
CREATE INDEX alerts_merged_into ON alerts (merged_into) WHERE merged_into IS NOT NULL;
-- The engine repoints an alert, or ends the one that another has taken in; it writes nothing else of the desk's.
GRANT UPDATE (person_id, episode, merged_into, state, closed_at) ON alerts TO wuzha_engine;
