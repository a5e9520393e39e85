-- Reach: who sees a file that another has taken in, who may end a grant or a phone; moments kept with the alert; forgetting.
-- Run as wuzha_owner.

SET LOCAL search_path = wuzha;

-- ---------------------------------------------------------------- an alert that another has taken in
-- Its work goes on in the other one, and so does whatever hangs on it: whoever has the living one in reach sees it too.
-- The policies of all that hangs on an alert go through the alert's own, so that this stands here once.

GRANT SELECT (merged_into) ON alerts TO wuzha_search;
GRANT CREATE ON SCHEMA wuzha TO wuzha_search;

-- Alerts that a unit in scope holds a grant for which has not ended.
CREATE FUNCTION alerts_granted() RETURNS SETOF bigint
LANGUAGE sql STABLE PARALLEL SAFE SECURITY DEFINER ROWS 100 SET search_path = wuzha, pg_temp AS $$
    SELECT g.row_id FROM grants g
      JOIN unit_closure c ON c.descendant = g.unit_id AND c.ancestor = (SELECT scope_unit())
     WHERE g.table_name = 'alerts' AND g.until > (SELECT scope_time()) $$;

-- Whether an alert, or the one that has taken it in, however often, is of a unit in scope or granted to one. A circle of
-- alerts, which nothing makes, ends the walk.
CREATE FUNCTION alert_in_reach(alert bigint) RETURNS boolean
LANGUAGE sql STABLE PARALLEL SAFE SECURITY DEFINER COST 10 SET search_path = wuzha, pg_temp AS $$
    WITH RECURSIVE way AS (
        SELECT a.alert_id, a.unit_id, a.merged_into FROM alerts a WHERE a.alert_id = alert
        UNION SELECT a.alert_id, a.unit_id, a.merged_into FROM way w JOIN alerts a ON a.alert_id = w.merged_into)
    SELECT EXISTS (SELECT 1 FROM way w
        WHERE EXISTS (SELECT 1 FROM unit_closure c WHERE c.ancestor = scope_unit() AND c.descendant = w.unit_id)
           OR EXISTS (SELECT 1 FROM grants g JOIN unit_closure c ON c.descendant = g.unit_id AND c.ancestor = scope_unit()
                       WHERE g.table_name = 'alerts' AND g.row_id = w.alert_id AND g.until > scope_time())) $$;

DO $$
DECLARE f text;
BEGIN
    FOREACH f IN ARRAY ARRAY['alerts_granted()', 'alert_in_reach(bigint)'] LOOP
        EXECUTE format('REVOKE ALL ON FUNCTION wuzha.%s FROM PUBLIC', f);
        EXECUTE format('GRANT EXECUTE ON FUNCTION wuzha.%s TO wuzha_web, wuzha_owner', f);
        EXECUTE format('ALTER FUNCTION wuzha.%s OWNER TO wuzha_search', f);
    END LOOP;
END $$;
-- Search finds by the same reach: a number that only the file that was taken in knew leads there.
SET LOCAL ROLE wuzha_search;
CREATE OR REPLACE FUNCTION search_alerts(wanted text) RETURNS TABLE (alert_id bigint)
LANGUAGE plpgsql STABLE SECURITY DEFINER SET search_path = wuzha, pg_temp AS $$
DECLARE prefix text := replace(replace(replace(btrim(wanted), '\', '\\'), '%', '\%'), '_', '\_') || '%';
BEGIN
    IF length(btrim(wanted)) < 2 OR scope_unit() IS NULL THEN RETURN; END IF;
    RETURN QUERY EXECUTE
        'WITH RECURSIVE seen AS MATERIALIZED (
             SELECT c.descendant AS unit_id FROM unit_closure c WHERE c.ancestor = scope_unit()),
         people AS MATERIALIZED (
             SELECT p.person_id FROM persons p WHERE p.name LIKE $1
             UNION SELECT p.person_id FROM persons p WHERE length($1) > 3 AND p.id_no LIKE $1
             UNION SELECT s.subject_id FROM subjects s WHERE length($1) > 3 AND s.value LIKE $1
             UNION SELECT s.subject_id FROM subjects s WHERE length($1) > 3 AND s.value LIKE ''+86'' || $1
             UNION SELECT s.subject_id FROM subjects s WHERE length($1) > 3 AND s.value LIKE ''line:+86'' || $1),
         hits AS (
             SELECT a.alert_id, a.unit_id, a.raised_at, a.merged_into FROM alerts a JOIN people p ON a.person_id = p.person_id
             UNION SELECT a.alert_id, a.unit_id, a.raised_at, a.merged_into FROM alerts a JOIN people p ON a.line_id = p.person_id
             UNION SELECT a.alert_id, a.unit_id, a.raised_at, a.merged_into FROM hits h
                     JOIN alerts a ON a.alert_id = h.merged_into)
         SELECT h.alert_id FROM hits h
          WHERE h.unit_id IN (SELECT unit_id FROM seen)
             OR EXISTS (SELECT 1 FROM grants g WHERE g.table_name = ''alerts'' AND g.row_id = h.alert_id
                           AND g.until > scope_time() AND g.unit_id IN (SELECT unit_id FROM seen))
          ORDER BY h.raised_at DESC LIMIT 200' USING prefix;
END $$;
RESET ROLE;

REVOKE CREATE ON SCHEMA wuzha FROM wuzha_search;

ALTER POLICY web ON alerts USING (
    unit_id IN (SELECT c.descendant FROM wuzha.unit_closure c WHERE c.ancestor = (SELECT wuzha.scope_unit()))
    OR alert_id IN (SELECT wuzha.alerts_granted())
    OR (merged_into IS NOT NULL AND wuzha.alert_in_reach(merged_into)));
ALTER POLICY web_update ON alerts USING (
    unit_id IN (SELECT c.descendant FROM wuzha.unit_closure c WHERE c.ancestor = (SELECT wuzha.scope_unit()))
    OR alert_id IN (SELECT wuzha.alerts_granted())
    OR (merged_into IS NOT NULL AND wuzha.alert_in_reach(merged_into)));

-- ---------------------------------------------------------------- grants, clocks, phones

-- A grant is seen by the unit that holds it and with its alert.
ALTER POLICY web ON grants USING (
    unit_id IN (SELECT c.descendant FROM wuzha.unit_closure c WHERE c.ancestor = (SELECT wuzha.scope_unit()))
    OR (table_name = 'alerts' AND EXISTS (SELECT 1 FROM wuzha.alerts a WHERE a.alert_id = row_id)));
-- Shared is what is one's units' own, or what one has signed for; what was only shared with us we do not share on, nor
-- give ourselves a longer while.
ALTER POLICY web_insert ON grants WITH CHECK (
    granted_by = (SELECT wuzha.scope_user()) AND table_name = 'alerts'
    AND EXISTS (SELECT 1 FROM wuzha.alerts a WHERE a.alert_id = row_id
                   AND (a.signed_by = (SELECT wuzha.scope_user()) OR a.unit_id IN (
                        SELECT c.descendant FROM wuzha.unit_closure c WHERE c.ancestor = (SELECT wuzha.scope_unit())))));
-- It is ended by the alert's own unit, by the unit that holds it, and by those above them.
ALTER POLICY web_end ON grants USING (
    table_name = 'alerts' AND (
        unit_id IN (SELECT c.descendant FROM wuzha.unit_closure c WHERE c.ancestor = (SELECT wuzha.scope_unit()))
        OR EXISTS (SELECT 1 FROM wuzha.alerts a WHERE a.alert_id = row_id AND a.unit_id IN (
                   SELECT c.descendant FROM wuzha.unit_closure c WHERE c.ancestor = (SELECT wuzha.scope_unit())))));

-- The clocks are read by all, and written by the machine's round alone, from the deployment's own table.
ALTER TABLE desk_tiers ADD COLUMN unit_after double precision NOT NULL DEFAULT 0.5 CHECK (unit_after >= 0);
GRANT UPDATE (unit_after) ON desk_tiers TO wuzha_web;
DROP POLICY everybody ON desk_tiers;
CREATE POLICY seen ON desk_tiers FOR SELECT TO wuzha_web, wuzha_engine USING (true);
CREATE POLICY machine ON desk_tiers FOR UPDATE TO wuzha_web
    USING ((SELECT wuzha.scope_user()) IS NULL AND (SELECT wuzha.scope_unit()) IS NOT NULL);
REVOKE INSERT ON desk_tiers FROM wuzha_web;

-- A phone is its officer's; who commands or administers its unit, or one above it, may see it and take it away.
DROP POLICY web ON phones;
CREATE POLICY web ON phones FOR SELECT TO wuzha_web USING (
    user_id = (SELECT wuzha.scope_user())
    OR (unit_id IN (SELECT c.descendant FROM wuzha.unit_closure c WHERE c.ancestor = (SELECT wuzha.scope_unit()))
        AND EXISTS (SELECT 1 FROM wuzha.user_roles r WHERE r.user_id = (SELECT wuzha.scope_user())
                       AND r.role IN ('admin', 'commander'))));
CREATE POLICY web_new ON phones FOR INSERT TO wuzha_web WITH CHECK (
    user_id = (SELECT wuzha.scope_user()) AND made_by = (SELECT wuzha.scope_user())
    AND unit_id = (SELECT wuzha.scope_unit()) AND revoked_at IS NULL AND paired_at IS NULL);
CREATE POLICY web_end ON phones FOR UPDATE TO wuzha_web USING (
    user_id = (SELECT wuzha.scope_user())
    OR (unit_id IN (SELECT c.descendant FROM wuzha.unit_closure c WHERE c.ancestor = (SELECT wuzha.scope_unit()))
        AND EXISTS (SELECT 1 FROM wuzha.user_roles r WHERE r.user_id = (SELECT wuzha.scope_user())
                       AND r.role IN ('admin', 'commander'))))
    WITH CHECK (revoked_by = (SELECT wuzha.scope_user()));

-- ---------------------------------------------------------------- late ones: the rung reached and the next moment
-- rungs: "clock:level" -> the highest rung of `escalations`. escalate_at: when the next rung of the clock that runs is
-- due; null: none is left, or no clock runs that anybody is told of.

ALTER TABLE alerts ADD COLUMN rungs       jsonb NOT NULL DEFAULT '{}',
                   ADD COLUMN escalate_at timestamptz;
GRANT UPDATE (rungs) ON alerts TO wuzha_web;

CREATE OR REPLACE FUNCTION alerts_rank() RETURNS trigger LANGUAGE plpgsql SET search_path = wuzha, pg_temp AS $$
DECLARE t desk_tiers; allowed interval; own timestamptz; due timestamptz; shift double precision;
BEGIN
    SELECT * INTO t FROM desk_tiers d WHERE d.level = NEW.level;
    allowed := CASE NEW.state WHEN 'new' THEN t.sign WHEN 'reached' THEN t.meet ELSE t.contact END;
    own := CASE NEW.state WHEN 'new' THEN NEW.own_sign_by ELSE NEW.own_feedback_by END;
    due := least(NEW.level_at + allowed, own);
    shift := least(0.5, 0.125 * NEW.tries)
             - least(0.5, log(1 + greatest(coalesce(NEW.amount_fen, 0), 0) / 100.0)::double precision / 12);
    NEW.rank_no := 3 - NEW.level_rank;
    NEW.rank_at := due + allowed * shift
                   + CASE WHEN NEW.robot_at IS NULL THEN interval '0' ELSE interval '3650 days' END;
    NEW.rank_with := t.version;
    NEW.escalate_at := CASE WHEN NEW.merged_into IS NULL AND NEW.state IN ('new', 'signed', 'contacting') THEN
        CASE coalesce((NEW.rungs ->> (CASE NEW.state WHEN 'new' THEN 'sign:' ELSE 'contact:' END || NEW.level))::int, 0)
             WHEN 0 THEN due WHEN 1 THEN due + allowed * t.unit_after END END;
    RETURN NEW;
END $$;

CREATE FUNCTION escalations_rung() RETURNS trigger LANGUAGE plpgsql SET search_path = wuzha, pg_temp AS $$
DECLARE place text := NEW.clock || ':' || NEW.level;
BEGIN
    UPDATE alerts a SET rungs = a.rungs || jsonb_build_object(place, NEW.rung)
     WHERE a.alert_id = NEW.alert_id AND coalesce((a.rungs ->> place)::int, 0) < NEW.rung;
    RETURN NULL;
END $$;
CREATE TRIGGER escalations_rung AFTER INSERT ON escalations FOR EACH ROW EXECUTE FUNCTION escalations_rung();

ALTER TABLE alerts NO FORCE ROW LEVEL SECURITY;  ALTER TABLE escalations NO FORCE ROW LEVEL SECURITY;
UPDATE alerts a SET rungs = coalesce((
    SELECT jsonb_object_agg(e.clock || ':' || e.level, e.rung) FROM (
        SELECT clock, level, max(rung) AS rung FROM escalations WHERE alert_id = a.alert_id GROUP BY 1, 2) e), '{}')
 WHERE a.state <> 'closed' OR EXISTS (SELECT 1 FROM escalations e WHERE e.alert_id = a.alert_id);
ALTER TABLE alerts FORCE ROW LEVEL SECURITY;     ALTER TABLE escalations FORCE ROW LEVEL SECURITY;
CREATE INDEX alerts_escalate ON alerts (escalate_at) WHERE escalate_at IS NOT NULL;

-- ---------------------------------------------------------------- the strictest of an alert's warnings
-- A new warning only ever makes a clock stricter; where one is taken away, an index tells the next.

CREATE INDEX alert_warnings_sign_by ON alert_warnings (alert_id, sign_by)
    WHERE sign_by IS NOT NULL AND off_from IS DISTINCT FROM alert_id;
CREATE INDEX alert_warnings_feedback_by ON alert_warnings (alert_id, feedback_by)
    WHERE feedback_by IS NOT NULL AND off_from IS DISTINCT FROM alert_id;

CREATE OR REPLACE FUNCTION warnings_own() RETURNS trigger LANGUAGE plpgsql SET search_path = wuzha, pg_temp AS $$
DECLARE one bigint;
BEGIN
    IF TG_OP = 'INSERT' THEN
        IF NEW.off_from IS DISTINCT FROM NEW.alert_id AND coalesce(NEW.sign_by, NEW.feedback_by) IS NOT NULL THEN
            UPDATE alerts a SET own_sign_by = least(a.own_sign_by, NEW.sign_by),
                                own_feedback_by = least(a.own_feedback_by, NEW.feedback_by)
             WHERE a.alert_id = NEW.alert_id
               AND (NEW.sign_by < coalesce(a.own_sign_by, 'infinity')
                    OR NEW.feedback_by < coalesce(a.own_feedback_by, 'infinity'));
        END IF;
        RETURN NULL;
    END IF;
    FOREACH one IN ARRAY CASE TG_OP WHEN 'DELETE' THEN ARRAY[OLD.alert_id] ELSE ARRAY[OLD.alert_id, NEW.alert_id] END LOOP
        UPDATE alerts a SET own_sign_by = w.sign_by, own_feedback_by = w.feedback_by
          FROM (SELECT (SELECT min(sign_by) FROM alert_warnings WHERE alert_id = one
                           AND sign_by IS NOT NULL AND off_from IS DISTINCT FROM alert_id) AS sign_by,
                       (SELECT min(feedback_by) FROM alert_warnings WHERE alert_id = one
                           AND feedback_by IS NOT NULL AND off_from IS DISTINCT FROM alert_id) AS feedback_by) w
         WHERE a.alert_id = one
           AND (a.own_sign_by, a.own_feedback_by) IS DISTINCT FROM (w.sign_by, w.feedback_by);
    END LOOP;
    RETURN NULL;
END $$;

-- ---------------------------------------------------------------- what has crossed long ago is forgotten
-- Nobody removes what the other side has not receipted, or what has not taken effect here.

GRANT DELETE ON outbox, exchange_inbox TO wuzha_web;
CREATE POLICY only_receipted ON outbox AS RESTRICTIVE FOR DELETE TO wuzha_web, wuzha_engine
    USING (receipted_at IS NOT NULL);
CREATE POLICY only_applied ON exchange_inbox AS RESTRICTIVE FOR DELETE TO wuzha_web USING (
    refused IS NULL AND EXISTS (SELECT 1 FROM wuzha.exchange_peers p WHERE p.peer = exchange_inbox.peer
        AND (p.their_stream IS DISTINCT FROM exchange_inbox.stream OR exchange_inbox.number <= p.applied)));
CREATE INDEX outbox_receipted ON outbox (receipted_at) WHERE receipted_at IS NOT NULL;
CREATE INDEX exchange_received ON exchange_inbox (received_at) WHERE refused IS NULL;
