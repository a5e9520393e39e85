-- Duty: shifts, hand-over, overflow, escalation, transfers between units.
-- Run as wuzha_owner.

SET LOCAL search_path = wuzha;

-- ---------------------------------------------------------------- the order of work
-- An alert's place in the queue stands in the alert itself, so that a page of a million alerts is one walk of an index.
-- rank_no: 0 urgent … 3 low. rank_at: when it should be taken up: the deadline of its state, earlier by up to half of
-- the time allowed for money at risk (a twelfth for each power of ten yuan), later by an eighth for each try without a
-- word (half at most). What stands on the automatic-call list comes after everything else of its level.

CREATE TABLE desk_tiers (                              -- the clocks in force as the database computes with them
    level   text PRIMARY KEY CHECK (level IN ('urgent','high','medium','low')),
    sign    interval NOT NULL,
    contact interval NOT NULL,
    meet    interval NOT NULL,
    version int NOT NULL DEFAULT 1
);
INSERT INTO desk_tiers (level, sign, contact, meet) VALUES
    ('urgent', '60 s', '180 s', '3600 s'), ('high', '300 s', '600 s', '7200 s'),
    ('medium', '1800 s', '7200 s', '86400 s'), ('low', '14400 s', '86400 s', '259200 s');

ALTER TABLE alerts
    ADD COLUMN tries           smallint NOT NULL DEFAULT 0,   -- tries without a word (the desk counts)
    ADD COLUMN own_sign_by     timestamptz,                   -- the strictest of its warnings' own deadlines
    ADD COLUMN own_feedback_by timestamptz,
    ADD COLUMN rank_no         smallint,
    ADD COLUMN rank_at         timestamptz,
    ADD COLUMN rank_with       int,                           -- version of desk_tiers that it was computed with
    ADD COLUMN moved_at        timestamptz,                   -- the desk gave it to another unit: the engine leaves it
    ADD COLUMN offered_at      timestamptz,                   -- given to its unit, which has not signed for it yet
    ADD COLUMN robot_at        timestamptz,                   -- stands on the automatic-call list
    ADD COLUMN kept_at         timestamptz;                   -- the commander took an overflow back: it stays
GRANT UPDATE (tries, own_sign_by, own_feedback_by, moved_at, offered_at, robot_at, kept_at) ON alerts TO wuzha_web;
GRANT UPDATE (own_sign_by, own_feedback_by) ON alerts TO wuzha_engine;

CREATE FUNCTION alerts_rank() RETURNS trigger LANGUAGE plpgsql SET search_path = wuzha, pg_temp AS $$
DECLARE t desk_tiers; allowed interval; own timestamptz; shift double precision;
BEGIN
    SELECT * INTO t FROM desk_tiers d WHERE d.level = NEW.level;
    allowed := CASE NEW.state WHEN 'new' THEN t.sign WHEN 'reached' THEN t.meet ELSE t.contact END;
    own := CASE NEW.state WHEN 'new' THEN NEW.own_sign_by ELSE NEW.own_feedback_by END;
    shift := least(0.5, 0.125 * NEW.tries)
             - least(0.5, log(1 + greatest(coalesce(NEW.amount_fen, 0), 0) / 100.0)::double precision / 12);
    NEW.rank_no := 3 - NEW.level_rank;
    NEW.rank_at := least(NEW.level_at + allowed, own) + allowed * shift
                   + CASE WHEN NEW.robot_at IS NULL THEN interval '0' ELSE interval '3650 days' END;
    NEW.rank_with := t.version;
    RETURN NEW;
END $$;
CREATE TRIGGER alerts_rank BEFORE INSERT OR UPDATE ON alerts FOR EACH ROW EXECUTE FUNCTION alerts_rank();

-- The strictest of an alert's warnings, kept beside it.
CREATE FUNCTION warnings_own() RETURNS trigger LANGUAGE plpgsql SET search_path = wuzha, pg_temp AS $$
DECLARE one bigint;
BEGIN
    FOREACH one IN ARRAY CASE TG_OP WHEN 'INSERT' THEN ARRAY[NEW.alert_id] WHEN 'DELETE' THEN ARRAY[OLD.alert_id]
                         ELSE ARRAY[OLD.alert_id, NEW.alert_id] END LOOP
        UPDATE alerts a SET own_sign_by = w.sign_by, own_feedback_by = w.feedback_by
          FROM (SELECT min(sign_by) AS sign_by, min(feedback_by) AS feedback_by
                  FROM alert_warnings WHERE alert_id = one AND off_from IS DISTINCT FROM one) w
         WHERE a.alert_id = one
           AND (a.own_sign_by, a.own_feedback_by) IS DISTINCT FROM (w.sign_by, w.feedback_by);
    END LOOP;
    RETURN NULL;
END $$;
CREATE TRIGGER warnings_own AFTER INSERT OR DELETE OR UPDATE OF alert_id, sign_by, feedback_by, off_from ON alert_warnings
    FOR EACH ROW EXECUTE FUNCTION warnings_own();

ALTER TABLE alerts NO FORCE ROW LEVEL SECURITY;  ALTER TABLE alert_warnings NO FORCE ROW LEVEL SECURITY;
UPDATE alerts a SET own_sign_by = (SELECT min(w.sign_by) FROM alert_warnings w WHERE w.alert_id = a.alert_id),
                    own_feedback_by = (SELECT min(w.feedback_by) FROM alert_warnings w WHERE w.alert_id = a.alert_id);
ALTER TABLE alerts FORCE ROW LEVEL SECURITY;     ALTER TABLE alert_warnings FORCE ROW LEVEL SECURITY;
CREATE INDEX alerts_queue ON alerts (rank_no, rank_at, alert_id) WHERE state <> 'closed' AND merged_into IS NULL;
CREATE INDEX alerts_offered ON alerts (unit_id) WHERE offered_at IS NOT NULL;
CREATE INDEX alerts_robot ON alerts (robot_at) WHERE robot_at IS NOT NULL;

-- ---------------------------------------------------------------- shifts and hand-over

CREATE TABLE shifts (
    shift_id   bigint GENERATED BY DEFAULT AS IDENTITY PRIMARY KEY,
    unit_id    bigint NOT NULL REFERENCES units,
    user_id    bigint NOT NULL REFERENCES users,
    post       text NOT NULL DEFAULT '',                -- seat or post
    starts_at  timestamptz NOT NULL,
    ends_at    timestamptz NOT NULL CHECK (ends_at > starts_at),
    made_by    bigint NOT NULL REFERENCES users,
    made_at    timestamptz NOT NULL,
    removed_at timestamptz,
    removed_by bigint REFERENCES users
);
CREATE INDEX shifts_unit ON shifts (unit_id, starts_at) WHERE removed_at IS NULL;
CREATE INDEX shifts_user ON shifts (user_id, ends_at) WHERE removed_at IS NULL;

CREATE TABLE handovers (
    handover_id bigint GENERATED BY DEFAULT AS IDENTITY PRIMARY KEY,
    unit_id     bigint NOT NULL REFERENCES units,
    from_user   bigint NOT NULL REFERENCES users,
    at          timestamptz NOT NULL,
    note        text,
    files       jsonb NOT NULL,                         -- [{alert, to}]: what was handed to whom
    key         text NOT NULL UNIQUE
);
CREATE INDEX handovers_unit ON handovers (unit_id, at);

-- ---------------------------------------------------------------- overflow, automatic calls, escalation

CREATE TABLE overflow_routes (                          -- a unit's chain, in order; none: nothing leaves by itself
    unit_id    bigint NOT NULL REFERENCES units,
    step       smallint NOT NULL,
    to_unit_id bigint REFERENCES units CHECK (to_unit_id <> unit_id),   -- null: automatic calls
    set_by     bigint NOT NULL REFERENCES users,
    set_at     timestamptz NOT NULL,
    PRIMARY KEY (unit_id, step)
);
CREATE TABLE overflows (
    overflow_id bigint GENERATED BY DEFAULT AS IDENTITY PRIMARY KEY,
    alert_id    bigint NOT NULL REFERENCES alerts,
    at          timestamptz NOT NULL,
    from_unit   bigint NOT NULL REFERENCES units,
    to_unit     bigint REFERENCES units,                -- null: automatic calls
    level       text NOT NULL,
    start_at    timestamptz,                            -- when an officer could have begun; null: nobody on duty
    due_at      timestamptz NOT NULL,                   -- its contact deadline, which that would have missed
    undone_at   timestamptz,
    undone_by   bigint REFERENCES users
);
CREATE INDEX overflows_alert ON overflows (alert_id);
CREATE INDEX overflows_at ON overflows (at);
CREATE TABLE robot_calls (                              -- what the telephone is to call by itself
    call_id   bigint GENERATED BY DEFAULT AS IDENTITY PRIMARY KEY,
    alert_id  bigint NOT NULL REFERENCES alerts,
    listed_at timestamptz NOT NULL,
    state     text NOT NULL DEFAULT 'listed' CHECK (state IN ('listed','called','signed','taken_back')),
    state_at  timestamptz NOT NULL,
    result    text                                      -- code of the call's result
);
CREATE UNIQUE INDEX robot_calls_once ON robot_calls (alert_id) WHERE state = 'listed';
CREATE INDEX robot_calls_waiting ON robot_calls (listed_at) WHERE state = 'listed';
CREATE TABLE escalations (                              -- each rung of a clock once
    escalation_id bigint GENERATED BY DEFAULT AS IDENTITY PRIMARY KEY,
    alert_id  bigint NOT NULL REFERENCES alerts,
    clock     text NOT NULL CHECK (clock IN ('sign','contact','meet')),
    level     text NOT NULL,
    rung      smallint NOT NULL,                        -- 1: the next person on duty; 2: the unit above
    at        timestamptz NOT NULL,
    to_user   bigint REFERENCES users,
    to_unit   bigint NOT NULL REFERENCES units,
    UNIQUE (alert_id, clock, level, rung)
);
CREATE INDEX escalations_user ON escalations (to_user);

-- ---------------------------------------------------------------- transfer, dispatch, presence, who uses the line

CREATE TABLE transfers (
    transfer_id   bigint GENERATED BY DEFAULT AS IDENTITY PRIMARY KEY,
    alert_id      bigint NOT NULL REFERENCES alerts,
    from_unit     bigint NOT NULL REFERENCES units,
    to_unit       bigint NOT NULL REFERENCES units,
    sent_by       bigint NOT NULL REFERENCES users,
    sent_at       timestamptz NOT NULL,
    reason        text NOT NULL,
    state         text NOT NULL DEFAULT 'offered' CHECK (state IN ('offered','signed','returned','raised','recalled')),
    state_by      bigint REFERENCES users,
    state_at      timestamptz,
    return_reason text,
    raised_to     bigint REFERENCES units               -- the common superior that decides after a second return
);
CREATE UNIQUE INDEX transfers_once ON transfers (alert_id) WHERE state = 'offered';
CREATE INDEX transfers_alert ON transfers (alert_id);

CREATE TABLE dispatches (                               -- a visit under way while the officer calls
    dispatch_id bigint GENERATED BY DEFAULT AS IDENTITY PRIMARY KEY,
    alert_id    bigint NOT NULL REFERENCES alerts,
    unit_id     bigint NOT NULL REFERENCES units,       -- the station that goes
    sent_by     bigint NOT NULL REFERENCES users,
    sent_at     timestamptz NOT NULL,
    meet_by     timestamptz NOT NULL,
    words       text,
    state       text NOT NULL DEFAULT 'sent' CHECK (state IN ('sent','going','done','recalled')),
    going_by    bigint REFERENCES users,
    going_at    timestamptz,
    done_by     bigint REFERENCES users,
    done_at     timestamptz,
    result      text
);
CREATE UNIQUE INDEX dispatches_once ON dispatches (alert_id, unit_id) WHERE state IN ('sent','going');
CREATE INDEX dispatches_unit ON dispatches (unit_id, meet_by) WHERE state IN ('sent','going');

CREATE UNLOGGED TABLE presence (                        -- who has which file open; lost in a crash, and that is well
    alert_id bigint NOT NULL,
    user_id  bigint NOT NULL,
    seen_at  timestamptz NOT NULL,
    PRIMARY KEY (alert_id, user_id)
);

CREATE TABLE judgements (                               -- the desk's word on who uses a line and where they are
    judgement_id bigint GENERATED BY DEFAULT AS IDENTITY PRIMARY KEY,
    alert_id     bigint NOT NULL REFERENCES alerts,
    user_id      bigint NOT NULL REFERENCES users,
    at           timestamptz NOT NULL,
    code         text NOT NULL,
    person_id    bigint REFERENCES subjects,            -- who uses the line
    line_id      bigint REFERENCES subjects,            -- the line that was asked about
    call_id      bigint REFERENCES subjects,            -- the line to call instead
    place        text,
    line_before  bigint REFERENCES subjects,            -- the alert's line before it
    undone_at    timestamptz,
    undone_by    bigint REFERENCES users
);
CREATE INDEX judgements_alert ON judgements (alert_id);
CREATE INDEX judgements_person ON judgements (person_id) WHERE person_id IS NOT NULL;

-- ---------------------------------------------------------------- who may

DO $$
DECLARE t text;
BEGIN
    FOREACH t IN ARRAY ARRAY['desk_tiers','shifts','handovers','overflow_routes','overflows','robot_calls',
                             'escalations','transfers','dispatches','presence','judgements'] LOOP
        EXECUTE format('ALTER TABLE wuzha.%I ENABLE ROW LEVEL SECURITY', t);
        EXECUTE format('ALTER TABLE wuzha.%I FORCE ROW LEVEL SECURITY', t);
    END LOOP;
    FOREACH t IN ARRAY ARRAY['overflows','robot_calls','escalations','transfers','dispatches','presence',
                             'judgements'] LOOP
        EXECUTE format('CREATE POLICY web ON wuzha.%I TO wuzha_web USING '
                       '(EXISTS (SELECT 1 FROM wuzha.alerts a WHERE a.alert_id = %I.alert_id))', t, t);
    END LOOP;
    FOREACH t IN ARRAY ARRAY['shifts','handovers','overflow_routes'] LOOP
        EXECUTE format('CREATE POLICY web ON wuzha.%I TO wuzha_web USING (unit_id IN (SELECT c.descendant FROM '
                       'wuzha.unit_closure c WHERE c.ancestor = (SELECT wuzha.scope_unit())))', t);
    END LOOP;
END $$;
CREATE POLICY everybody ON desk_tiers TO wuzha_web, wuzha_engine USING (true);
-- A unit sees where its own seniors' work goes and who of them is on duty; it changes nothing there.
CREATE POLICY above ON shifts FOR SELECT TO wuzha_web USING (unit_id IN (
    SELECT c.ancestor FROM wuzha.unit_closure c WHERE c.descendant = (SELECT wuzha.scope_unit())));

GRANT SELECT ON desk_tiers TO wuzha_engine;
GRANT SELECT, INSERT, UPDATE (sign, contact, meet, version) ON desk_tiers TO wuzha_web;
GRANT SELECT, INSERT, UPDATE (removed_at, removed_by) ON shifts TO wuzha_web;
GRANT SELECT, INSERT ON handovers TO wuzha_web;
GRANT SELECT, INSERT, DELETE ON overflow_routes TO wuzha_web;
GRANT SELECT, INSERT, UPDATE (undone_at, undone_by) ON overflows TO wuzha_web;
GRANT SELECT, INSERT, UPDATE (state, state_at, result) ON robot_calls TO wuzha_web;
GRANT SELECT, INSERT ON escalations TO wuzha_web;
GRANT SELECT, INSERT, UPDATE (state, state_by, state_at, return_reason, raised_to) ON transfers TO wuzha_web;
GRANT SELECT, INSERT, UPDATE (state, going_by, going_at, done_by, done_at, result) ON dispatches TO wuzha_web;
GRANT SELECT, INSERT, DELETE, UPDATE (seen_at) ON presence TO wuzha_web;
GRANT SELECT, INSERT, UPDATE (undone_at, undone_by) ON judgements TO wuzha_web;
GRANT USAGE ON ALL SEQUENCES IN SCHEMA wuzha TO wuzha_web;

-- A grant may be ended by whoever sees its alert, and nothing else of it changed: `until` itself stays out of reach.
ALTER TABLE grants ADD COLUMN ended_at timestamptz;
CREATE FUNCTION grants_end() RETURNS trigger LANGUAGE plpgsql SET search_path = wuzha, pg_temp AS $$
BEGIN
    NEW.ended_at := scope_time();
    NEW.until := least(OLD.until, NEW.ended_at);
    RETURN NEW;
END $$;
CREATE TRIGGER grants_end BEFORE UPDATE OF ended_at ON grants FOR EACH ROW EXECUTE FUNCTION grants_end();
CREATE POLICY web_end ON grants FOR UPDATE TO wuzha_web
    USING (table_name = 'alerts' AND EXISTS (SELECT 1 FROM wuzha.alerts a WHERE a.alert_id = row_id));
GRANT UPDATE (ended_at) ON grants TO wuzha_web;

-- The desk's own judgements of who uses a line: it writes relations with its own name only, and ends no other's.
CREATE POLICY web_new ON subjects FOR INSERT TO wuzha_web WITH CHECK ((SELECT wuzha.scope_user()) IS NOT NULL);
CREATE POLICY web_new ON relations FOR INSERT TO wuzha_web
    WITH CHECK (source = 'desk' AND (SELECT wuzha.scope_user()) IS NOT NULL);
CREATE POLICY web_end ON relations FOR UPDATE TO wuzha_web
    USING (source = 'desk' AND (SELECT wuzha.scope_user()) IS NOT NULL) WITH CHECK (source = 'desk');
CREATE POLICY web_new ON persons FOR INSERT TO wuzha_web WITH CHECK ((SELECT wuzha.scope_user()) IS NOT NULL);
CREATE POLICY judged ON persons FOR SELECT TO wuzha_web USING (
    EXISTS (SELECT 1 FROM wuzha.judgements j WHERE j.person_id = persons.person_id));
GRANT INSERT (kind, value) ON subjects TO wuzha_web;
GRANT INSERT (subject_id, other_id, role, valid_from, valid_to, source, event_id, confidence),
      UPDATE (valid_to) ON relations TO wuzha_web;
GRANT INSERT (person_id, name, place) ON persons TO wuzha_web;
