-- A refund is seen with its case, also by a unit that the case was shared with; it is worked on by the case's own unit and
-- those above it alone, as everything of a case.
-- Run as wuzha_owner.

SET LOCAL search_path = wuzha;

DO $$
DECLARE
    t text;
    ours text := 'k.unit_id IN (SELECT c.descendant FROM wuzha.unit_closure c'
                 ' WHERE c.ancestor = (SELECT wuzha.scope_unit()))';
    own text;
    seen text;
BEGIN
    FOREACH t IN ARRAY ARRAY['refunds','refund_credits','refund_rounds','refund_shares','refund_applications',
                             'refund_handovers','refund_notices','refund_objections','refund_approvals',
                             'refund_decisions','refund_payments'] LOOP
        IF t IN ('refunds','refund_credits') THEN
            seen := 'EXISTS (SELECT 1 FROM wuzha.cases k WHERE k.case_id = %1$I.case_id)';
            own := 'EXISTS (SELECT 1 FROM wuzha.cases k WHERE k.case_id = %1$I.case_id AND ' || ours || ')';
        ELSE
            seen := 'EXISTS (SELECT 1 FROM wuzha.refunds r WHERE r.refund_id = %1$I.refund_id)';
            own := 'EXISTS (SELECT 1 FROM wuzha.refunds r JOIN wuzha.cases k USING (case_id)'
                   ' WHERE r.refund_id = %1$I.refund_id AND ' || ours || ')';
        END IF;
        EXECUTE format('DROP POLICY web ON wuzha.%I', t);
        EXECUTE format('CREATE POLICY web ON wuzha.%1$I FOR SELECT TO wuzha_web USING (' || seen || ')', t);
        EXECUTE format('CREATE POLICY web_insert ON wuzha.%1$I FOR INSERT TO wuzha_web WITH CHECK (' || own || ')', t);
        EXECUTE format('CREATE POLICY web_update ON wuzha.%1$I FOR UPDATE TO wuzha_web USING (' || own || ')', t);
    END LOOP;
END $$;
