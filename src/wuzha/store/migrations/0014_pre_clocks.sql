-- Clocks: the order of work by the hour, late requests for release, a deployment's own table of clocks.
-- Run as wuzha_owner.

SET LOCAL search_path = wuzha;

-- ---------------------------------------------------------------- requests for release that nobody answers

ALTER TABLE release_requests ADD COLUMN raised_at timestamptz,              -- its day was over: told to the unit above
                             ADD COLUMN raised_to bigint REFERENCES units;
GRANT UPDATE (raised_at, raised_to) ON release_requests TO wuzha_web;
CREATE INDEX release_requests_waiting ON release_requests (asked_at) WHERE answered_at IS NULL;

-- ---------------------------------------------------------------- chance of reaching, by the hour
-- The order of work counts with how likely the person is to answer at this hour: learned from the unit's own calls, by
-- the part of the day and the person's age, and from a table (respond/reach.toml) where they are few.

CREATE TABLE desk_hour (                               -- the part of the day that now is; null: none is put in force yet
    one       boolean PRIMARY KEY DEFAULT true CHECK (one),
    band      text,
    turned_at timestamptz,
    version   int NOT NULL DEFAULT 0
);
INSERT INTO desk_hour DEFAULT VALUES;
CREATE TABLE reach_table (                             -- from_age -1: where the age is not known
    from_age smallint NOT NULL,
    band     text NOT NULL,
    chance   real NOT NULL CHECK (chance BETWEEN 0 AND 1),
    PRIMARY KEY (band, from_age)
);
CREATE TABLE reach_learned (
    unit_id  bigint NOT NULL REFERENCES units,
    from_age smallint NOT NULL,
    band     text NOT NULL,
    tries    int NOT NULL,
    reached  int NOT NULL,
    chance   real NOT NULL CHECK (chance BETWEEN 0 AND 1),
    PRIMARY KEY (unit_id, band, from_age)
);
CREATE INDEX contacts_calls ON contacts (at) WHERE kind IN ('call', 'own_phone');
DO $$
DECLARE t text;
BEGIN
    FOREACH t IN ARRAY ARRAY['desk_hour', 'reach_table', 'reach_learned'] LOOP
        EXECUTE format('ALTER TABLE wuzha.%I ENABLE ROW LEVEL SECURITY', t);
        EXECUTE format('ALTER TABLE wuzha.%I FORCE ROW LEVEL SECURITY', t);
        EXECUTE format('CREATE POLICY search ON wuzha.%I FOR SELECT TO wuzha_search USING (true)', t);
    END LOOP;
    -- Written by the machine's round alone, as the clocks are.
    FOREACH t IN ARRAY ARRAY['desk_hour', 'reach_table'] LOOP
        EXECUTE format('CREATE POLICY seen ON wuzha.%I FOR SELECT TO wuzha_web, wuzha_engine USING (true)', t);
        EXECUTE format('CREATE POLICY machine ON wuzha.%I TO wuzha_web USING ((SELECT wuzha.scope_user()) IS NULL'
                       ' AND (SELECT wuzha.scope_unit()) IS NOT NULL)', t);
    END LOOP;
END $$;
CREATE POLICY seen ON reach_learned FOR SELECT TO wuzha_web USING (
    unit_id IN (SELECT c.descendant FROM wuzha.unit_closure c WHERE c.ancestor = (SELECT wuzha.scope_unit())));
CREATE POLICY machine ON reach_learned TO wuzha_web USING ((SELECT wuzha.scope_user()) IS NULL
    AND unit_id IN (SELECT c.descendant FROM wuzha.unit_closure c WHERE c.ancestor = (SELECT wuzha.scope_unit())));
GRANT SELECT ON desk_hour TO wuzha_engine;
GRANT SELECT ON desk_hour, reach_table, reach_learned TO wuzha_web, wuzha_search;
GRANT UPDATE (band, turned_at, version) ON desk_hour TO wuzha_web;
GRANT INSERT, DELETE, UPDATE (chance) ON reach_table TO wuzha_web;
GRANT INSERT, DELETE, UPDATE (tries, reached, chance) ON reach_learned TO wuzha_web;
GRANT SELECT (born) ON persons TO wuzha_search;

-- How likely a person is to answer now; null where no part of the day is in force.
GRANT CREATE ON SCHEMA wuzha TO wuzha_search;
CREATE FUNCTION reach_chance(unit bigint, person bigint) RETURNS real
LANGUAGE sql STABLE PARALLEL SAFE SECURITY DEFINER SET search_path = wuzha, pg_temp AS $$
    SELECT coalesce(l.chance, t.chance) FROM desk_hour h
      JOIN reach_table t ON t.band = h.band
      LEFT JOIN reach_learned l ON l.unit_id = unit AND l.band = t.band AND l.from_age = t.from_age
     WHERE t.from_age <= coalesce(
           (SELECT extract(year FROM age(h.turned_at, p.born)) FROM persons p WHERE p.person_id = person), -1)
     ORDER BY t.from_age DESC LIMIT 1 $$;
REVOKE ALL ON FUNCTION reach_chance(bigint, bigint) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION reach_chance(bigint, bigint) TO wuzha_web, wuzha_engine, wuzha_owner;
ALTER FUNCTION reach_chance(bigint, bigint) OWNER TO wuzha_search;
REVOKE CREATE ON SCHEMA wuzha FROM wuzha_search;

-- ---------------------------------------------------------------- the clock of the meeting goes up too
-- met_at: the person was met on this file (the first meeting that stands, since it was last opened).

ALTER TABLE alerts ADD COLUMN met_at timestamptz;
GRANT UPDATE (met_at) ON alerts TO wuzha_web;
CREATE FUNCTION contacts_met() RETURNS trigger LANGUAGE plpgsql SET search_path = wuzha, pg_temp AS $$
BEGIN
    UPDATE alerts a SET met_at = m.at
      FROM (SELECT min(c.at) AS at FROM contacts c JOIN alerts o USING (alert_id)
             WHERE c.alert_id = NEW.alert_id AND c.kind IN ('visit', 'grid') AND c.code = 'met'
               AND c.at >= coalesce(o.reopened_at, '-infinity')
               AND NOT EXISTS (SELECT 1 FROM contacts u WHERE u.undoes = c.contact_id)) m
     WHERE a.alert_id = NEW.alert_id AND a.met_at IS DISTINCT FROM m.at;
    RETURN NULL;
END $$;
CREATE TRIGGER contacts_met AFTER INSERT ON contacts FOR EACH ROW
    WHEN (NEW.code = 'met' OR NEW.undoes IS NOT NULL) EXECUTE FUNCTION contacts_met();

-- Whether a file's meeting is done with: met, or an outcome that ends it (half_believing asks for another visit).
CREATE FUNCTION meeting_done(met_at timestamptz, outcome text) RETURNS boolean
LANGUAGE sql IMMUTABLE PARALLEL SAFE AS $$ SELECT met_at IS NOT NULL OR coalesce(outcome, 'half_believing') <> 'half_believing' $$;
-- Which clock's rungs are climbed next: of who is not reached, the contact's two, then the meeting's.
CREATE FUNCTION escalation_clock(state text, level text, rungs jsonb) RETURNS text
LANGUAGE sql IMMUTABLE PARALLEL SAFE AS $$
    SELECT CASE WHEN state = 'new' THEN 'sign' WHEN state = 'reached' THEN 'meet'
                WHEN coalesce((rungs ->> ('contact:' || level))::int, 0) < 2 THEN 'contact' ELSE 'meet' END $$;

CREATE OR REPLACE FUNCTION alerts_rank() RETURNS trigger LANGUAGE plpgsql SET search_path = wuzha, pg_temp AS $$
DECLARE
    t desk_tiers; h desk_hour; allowed interval; own timestamptz; due timestamptz; shift double precision;
    told text; late timestamptz; step interval;
BEGIN
    SELECT * INTO t FROM desk_tiers d WHERE d.level = NEW.level;
    SELECT * INTO h FROM desk_hour;
    IF NEW.state = 'new' THEN NEW.met_at := NULL; END IF;
    allowed := CASE NEW.state WHEN 'new' THEN t.sign WHEN 'reached' THEN t.meet ELSE t.contact END;
    own := CASE NEW.state WHEN 'new' THEN NEW.own_sign_by ELSE NEW.own_feedback_by END;
    due := least(NEW.level_at + allowed, own);
    shift := least(0.5, 0.125 * NEW.tries)
             - least(0.5, log(1 + greatest(coalesce(NEW.amount_fen, 0), 0) / 100.0)::double precision / 12);
    IF h.band IS NOT NULL AND NEW.state IN ('new', 'signed', 'contacting') THEN
        shift := shift + 0.5 * (0.5 - coalesce(reach_chance(NEW.unit_id, NEW.person_id), 0.5));
    END IF;
    NEW.rank_no := 3 - NEW.level_rank;
    NEW.rank_at := due + allowed * shift
                   + CASE WHEN NEW.robot_at IS NULL THEN interval '0' ELSE interval '3650 days' END;
    NEW.rank_with := t.version + h.version;
    NEW.escalate_at := NULL;
    IF NEW.merged_into IS NULL AND NEW.state <> 'closed' THEN
        told := escalation_clock(NEW.state, NEW.level, NEW.rungs);
        IF told <> 'meet' THEN
            late := due; step := allowed;
        ELSIF NEW.state <> 'reached' THEN  -- the upstream's deadline was told of with the contact's
            late := NEW.level_at + t.meet; step := t.meet;
        ELSIF NOT meeting_done(NEW.met_at, NEW.outcome) THEN
            late := due; step := t.meet;
        END IF;
        NEW.escalate_at := CASE coalesce((NEW.rungs ->> (told || ':' || NEW.level))::int, 0)
                                WHEN 0 THEN late WHEN 1 THEN late + step * t.unit_after END;
    END IF;
    RETURN NEW;
END $$;

ALTER TABLE alerts NO FORCE ROW LEVEL SECURITY;  ALTER TABLE contacts NO FORCE ROW LEVEL SECURITY;
UPDATE alerts a SET met_at = (
    SELECT min(c.at) FROM contacts c WHERE c.alert_id = a.alert_id AND c.kind IN ('visit', 'grid') AND c.code = 'met'
       AND c.at >= coalesce(a.reopened_at, '-infinity')
       AND NOT EXISTS (SELECT 1 FROM contacts u WHERE u.undoes = c.contact_id))
 WHERE a.state IN ('signed', 'contacting', 'reached');
ALTER TABLE alerts FORCE ROW LEVEL SECURITY;     ALTER TABLE contacts FORCE ROW LEVEL SECURITY;

-- ---------------------------------------------------------------- the deployment's own table of clocks, and who wrote it
-- What is in force stands in the data folder (tiers.toml), so that every process reads one file; here stands who wrote
-- each text, why, and who of the others put it there.

CREATE TABLE tier_texts (
    text_id    bigint GENERATED BY DEFAULT AS IDENTITY PRIMARY KEY,
    body       text NOT NULL CHECK (length(body) <= 20000),
    base       bytea NOT NULL,                         -- SHA-256 of the text in force when it was written
    why        text NOT NULL CHECK (btrim(why) <> ''),
    written_by bigint NOT NULL REFERENCES users,
    written_at timestamptz NOT NULL,
    decided_by bigint REFERENCES users,
    decided_at timestamptz,
    accepted   boolean,
    CHECK ((decided_at IS NULL) = (accepted IS NULL) AND (decided_at IS NULL) = (decided_by IS NULL)),
    CHECK (accepted IS NOT TRUE OR decided_by <> written_by)      -- another puts it in force
);
CREATE INDEX tier_texts_waiting ON tier_texts (text_id) WHERE decided_at IS NULL;
ALTER TABLE tier_texts ENABLE ROW LEVEL SECURITY;
ALTER TABLE tier_texts FORCE ROW LEVEL SECURITY;
CREATE POLICY seen ON tier_texts FOR SELECT TO wuzha_web USING (true);
CREATE POLICY web_write ON tier_texts FOR INSERT TO wuzha_web
    WITH CHECK (written_by = (SELECT wuzha.scope_user()) AND decided_at IS NULL);
CREATE POLICY web_decide ON tier_texts FOR UPDATE TO wuzha_web
    USING (decided_at IS NULL) WITH CHECK (decided_by = (SELECT wuzha.scope_user()));
GRANT SELECT, INSERT, UPDATE (decided_by, decided_at, accepted) ON tier_texts TO wuzha_web;
GRANT USAGE ON ALL SEQUENCES IN SCHEMA wuzha TO wuzha_web;
