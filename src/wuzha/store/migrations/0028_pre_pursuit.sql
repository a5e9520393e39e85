-- Pursuit that goes on by itself; freezes that wait their turn; what was found unrelated; the day's reconciliation; cases
-- that a partner unit may see.
-- Run as wuzha_owner.

SET LOCAL search_path = wuzha;

-- ---------------------------------------------------------------- when a case's money is to be followed anew

-- The next moment at which time alone changes what should be ordered: a stop runs out, a turn comes, an answer grows
-- old. Null: nothing does. What stands already is looked at once.
ALTER TABLE cases ADD COLUMN pursue_at timestamptz DEFAULT '1970-01-01 00:00:00+00';
CREATE INDEX cases_pursue ON cases (pursue_at) WHERE pursue_at IS NOT NULL;
GRANT UPDATE (pursue_at) ON cases TO wuzha_web;

-- ---------------------------------------------------------------- a freeze that waits behind another's; a release in part

ALTER TABLE orders
    ADD COLUMN queued_at       timestamptz,            -- the bank has put it in the line behind an earlier freeze
    ADD COLUMN queued_behind   text,                   -- whose that is, as the bank says
    ADD COLUMN queued_of       bigint REFERENCES orders,  -- that freeze, where it is one of this house
    ADD COLUMN queued_until    timestamptz,            -- when it ends, as the bank says
    ADD COLUMN queued_fen      bigint CHECK (queued_fen >= 0),
    ADD COLUMN effect_basis    text,                   -- on what it took effect by itself
    ADD COLUMN effect_presumed boolean NOT NULL DEFAULT false,  -- until its bank confirms
    ADD COLUMN released_fen    bigint NOT NULL DEFAULT 0 CHECK (released_fen >= 0),
    ADD COLUMN unrelated_at    timestamptz,            -- found to hold what has nothing to do with the case
    ADD COLUMN unrelated_by    bigint REFERENCES users,  -- null: the trace
    ADD COLUMN unrelated_why   text,
    ADD COLUMN unrelated_fen   bigint CHECK (unrelated_fen > 0),
    ADD CHECK (queued_at IS NULL OR (kind = 'freeze' AND entered_at IS NOT NULL
               AND (queued_of IS NOT NULL OR btrim(coalesce(queued_behind, '')) <> ''))),
    ADD CHECK (queued_at IS NULL OR executed_at IS NULL OR btrim(coalesce(effect_basis, '')) <> ''),
    ADD CHECK (NOT effect_presumed OR queued_at IS NOT NULL),
    ADD CHECK (released_fen <= coalesce(done_fen, 0)),
    ADD CHECK ((unrelated_at IS NULL) = (unrelated_why IS NULL)),
    ADD CHECK (queued_of IS DISTINCT FROM order_id);
CREATE INDEX orders_queued ON orders (queued_at) WHERE queued_at IS NOT NULL AND executed_at IS NULL
    AND failed_code IS NULL AND released_at IS NULL;
CREATE INDEX orders_unrelated ON orders (unrelated_at) WHERE unrelated_at IS NOT NULL AND released_at IS NULL;
-- One release of an order is under way at a time; a second may follow one that let go of a part.
DROP INDEX orders_one_release;
CREATE UNIQUE INDEX orders_one_release ON orders (of_order)
    WHERE kind = 'release' AND dropped_at IS NULL AND answered_at IS NULL;
GRANT UPDATE (queued_at, queued_behind, queued_of, queued_until, queued_fen, effect_basis, effect_presumed, released_fen,
              unrelated_at, unrelated_by, unrelated_why, unrelated_fen) ON orders TO wuzha_web;

-- As before, but a turn that was only presumed may be taken back, or begin later, by its bank's word.
CREATE OR REPLACE FUNCTION orders_keep() RETURNS trigger LANGUAGE plpgsql SET search_path = wuzha, pg_temp AS $$
BEGIN
    IF OLD.sealed_at IS NOT NULL AND (NEW.sealed_at, NEW.sealed_by, NEW.amount_fen, NEW.turn, NEW.channel, NEW.months)
          IS DISTINCT FROM (OLD.sealed_at, OLD.sealed_by, OLD.amount_fen, OLD.turn, OLD.channel, OLD.months)
       OR OLD.external_no IS NOT NULL AND NEW.external_no IS DISTINCT FROM OLD.external_no
       OR OLD.ends_at IS NOT NULL AND NOT OLD.effect_presumed AND (NEW.ends_at IS NULL OR NEW.ends_at > OLD.ends_at)
       OR OLD.released_at IS NOT NULL AND NEW.released_at IS DISTINCT FROM OLD.released_at
       OR OLD.dropped_at IS NOT NULL AND NEW.dropped_at IS DISTINCT FROM OLD.dropped_at
       OR OLD.approved_at IS NOT NULL AND (NEW.amount_fen, NEW.months) IS DISTINCT FROM (OLD.amount_fen, OLD.months)
       OR NEW.released_fen < OLD.released_fen
       OR OLD.executed_at IS NOT NULL AND NOT OLD.effect_presumed AND NEW.effect_presumed
    THEN
        RAISE EXCEPTION 'order % stands as it was sealed', OLD.order_id USING ERRCODE = 'check_violation';
    END IF;
    RETURN NEW;
END $$;

-- The freeze in force on an account that lasts longest, whoever ordered it: its number only, so that a freeze behind it
-- knows what it waits for.
GRANT CREATE ON SCHEMA wuzha TO wuzha_search;
GRANT SELECT (order_id, case_id, executed_at, ends_at, released_at) ON orders TO wuzha_search;
CREATE FUNCTION account_freeze(account bigint, at timestamptz, besides bigint) RETURNS bigint
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = wuzha, pg_temp AS $$
    SELECT o.order_id FROM orders o
     WHERE o.account_id = account AND o.kind = 'freeze' AND o.executed_at <= at AND o.ends_at > at
       AND (o.released_at IS NULL OR o.released_at > at) AND o.case_id <> besides
     ORDER BY o.ends_at DESC, o.order_id LIMIT 1 $$;
REVOKE ALL ON FUNCTION account_freeze(bigint, timestamptz, bigint) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION account_freeze(bigint, timestamptz, bigint) TO wuzha_web, wuzha_owner;
ALTER FUNCTION account_freeze(bigint, timestamptz, bigint) OWNER TO wuzha_search;

-- ---------------------------------------------------------------- what is told, and the day's reconciliation

CREATE TABLE order_tells (                             -- what a unit's officers are told of once, until one has seen it
    tell_id  bigint GENERATED BY DEFAULT AS IDENTITY PRIMARY KEY,
    unit_id  bigint NOT NULL REFERENCES units,
    case_id  bigint REFERENCES cases,
    order_id bigint REFERENCES orders,
    kind     text NOT NULL,
    at       timestamptz NOT NULL,
    detail   jsonb NOT NULL DEFAULT '{}',              -- codes and numbers, never names
    key      text NOT NULL UNIQUE,
    seen_at  timestamptz,
    seen_by  bigint REFERENCES users,
    CHECK ((seen_at IS NULL) = (seen_by IS NULL))
);
CREATE INDEX order_tells_unseen ON order_tells (unit_id, at) WHERE seen_at IS NULL;

CREATE TABLE reconciliations (                         -- of each unit and day: how far the platform and this house agree
    unit_id     bigint NOT NULL REFERENCES units,
    day         date NOT NULL,
    at          timestamptz NOT NULL,
    exported_at timestamptz,                           -- the newest export that had been read; null: none ever was
    stale       boolean NOT NULL,                      -- that is older than a day: the two could not be compared
    there       int NOT NULL CHECK (there >= 0),
    here        int NOT NULL CHECK (here >= 0),
    late        int NOT NULL CHECK (late >= 0),
    PRIMARY KEY (unit_id, day)
);
DO $$
DECLARE t text;
BEGIN
    FOREACH t IN ARRAY ARRAY['order_tells','reconciliations'] LOOP
        EXECUTE format('ALTER TABLE wuzha.%I ENABLE ROW LEVEL SECURITY', t);
        EXECUTE format('ALTER TABLE wuzha.%I FORCE ROW LEVEL SECURITY', t);
        EXECUTE format('CREATE POLICY web ON wuzha.%I TO wuzha_web USING (unit_id IN (SELECT c.descendant'
                       ' FROM wuzha.unit_closure c WHERE c.ancestor = (SELECT wuzha.scope_unit())))', t);
    END LOOP;
END $$;
GRANT SELECT, INSERT ON order_tells, reconciliations TO wuzha_web;
GRANT UPDATE (seen_at, seen_by) ON order_tells TO wuzha_web;
GRANT USAGE ON SEQUENCE order_tells_tell_id_seq TO wuzha_web;

-- ---------------------------------------------------------------- a case that a partner unit may see

-- Cases that a unit in scope holds a grant for which has not ended.
CREATE FUNCTION cases_granted() RETURNS SETOF bigint
LANGUAGE sql STABLE PARALLEL SAFE SECURITY DEFINER ROWS 100 SET search_path = wuzha, pg_temp AS $$
    SELECT g.row_id FROM grants g
      JOIN unit_closure c ON c.descendant = g.unit_id AND c.ancestor = (SELECT scope_unit())
     WHERE g.table_name = 'cases' AND g.until > (SELECT scope_time()) $$;
REVOKE ALL ON FUNCTION cases_granted() FROM PUBLIC;
GRANT EXECUTE ON FUNCTION cases_granted() TO wuzha_web, wuzha_owner;
ALTER FUNCTION cases_granted() OWNER TO wuzha_search;
REVOKE CREATE ON SCHEMA wuzha FROM wuzha_search;

-- A case is seen by its unit, by every unit above it, and by units that hold a grant which has not ended. It is worked
-- on by its own unit and those above it alone: a grant gives sight, and nothing else.
DROP POLICY web ON cases;
CREATE POLICY web ON cases FOR SELECT TO wuzha_web USING (
    unit_id IN (SELECT c.descendant FROM wuzha.unit_closure c WHERE c.ancestor = (SELECT wuzha.scope_unit()))
    OR case_id IN (SELECT wuzha.cases_granted()));
CREATE POLICY web_insert ON cases FOR INSERT TO wuzha_web WITH CHECK (
    unit_id IN (SELECT c.descendant FROM wuzha.unit_closure c WHERE c.ancestor = (SELECT wuzha.scope_unit())));
CREATE POLICY web_update ON cases FOR UPDATE TO wuzha_web USING (
    unit_id IN (SELECT c.descendant FROM wuzha.unit_closure c WHERE c.ancestor = (SELECT wuzha.scope_unit())));
DO $$
DECLARE
    t text;
    ours text := 'EXISTS (SELECT 1 FROM wuzha.cases k WHERE k.case_id = %1$I.case_id AND k.unit_id IN'
                 ' (SELECT c.descendant FROM wuzha.unit_closure c WHERE c.ancestor = (SELECT wuzha.scope_unit())))';
BEGIN
    FOREACH t IN ARRAY ARRAY['case_reports','case_losses','case_accounts','case_transfers','case_steps','orders'] LOOP
        EXECUTE format('CREATE POLICY ours_insert ON wuzha.%1$I AS RESTRICTIVE FOR INSERT TO wuzha_web WITH CHECK ('
                       || ours || CASE t WHEN 'case_steps' THEN ' OR kind = ''revealed''' ELSE '' END || ')', t);
        EXECUTE format('CREATE POLICY ours_update ON wuzha.%1$I AS RESTRICTIVE FOR UPDATE TO wuzha_web USING (' || ours || ')', t);
    END LOOP;
END $$;
-- Shared is what is one's units' own; it is ended by them, and by whoever holds it.
ALTER POLICY web ON grants USING (
    unit_id IN (SELECT c.descendant FROM wuzha.unit_closure c WHERE c.ancestor = (SELECT wuzha.scope_unit()))
    OR (table_name = 'alerts' AND EXISTS (SELECT 1 FROM wuzha.alerts a WHERE a.alert_id = row_id))
    OR (table_name = 'cases' AND EXISTS (SELECT 1 FROM wuzha.cases k WHERE k.case_id = row_id)));
CREATE POLICY web_insert_case ON grants FOR INSERT TO wuzha_web WITH CHECK (
    granted_by = (SELECT wuzha.scope_user()) AND table_name = 'cases'
    AND EXISTS (SELECT 1 FROM wuzha.cases k WHERE k.case_id = row_id AND k.unit_id IN (
                SELECT c.descendant FROM wuzha.unit_closure c WHERE c.ancestor = (SELECT wuzha.scope_unit()))));
CREATE POLICY web_end_case ON grants FOR UPDATE TO wuzha_web USING (
    table_name = 'cases' AND (
        unit_id IN (SELECT c.descendant FROM wuzha.unit_closure c WHERE c.ancestor = (SELECT wuzha.scope_unit()))
        OR EXISTS (SELECT 1 FROM wuzha.cases k WHERE k.case_id = row_id AND k.unit_id IN (
                   SELECT c.descendant FROM wuzha.unit_closure c WHERE c.ancestor = (SELECT wuzha.scope_unit())))));
