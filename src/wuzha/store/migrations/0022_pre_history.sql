-- Features that a deployment declares: every version, from a place in the log on, null until its windows are rebuilt.
-- Run as wuzha_owner.

SET LOCAL search_path = wuzha;

-- A version is never changed.
CREATE TABLE feature_versions (
    feature    text NOT NULL CHECK (feature ~ '^[a-z][a-z0-9_]{0,59}$'),
    version    int NOT NULL CHECK (version > 0),
    body       text NOT NULL CHECK (length(body) <= 8000),
    zh         text NOT NULL,
    en         text NOT NULL,
    why        text NOT NULL,
    written_by bigint NOT NULL REFERENCES users,
    written_at timestamptz NOT NULL,
    PRIMARY KEY (feature, version)
);

-- declared, undeclared: a feature is in the book or out of it. rebuilt: the windows that the change named in rebuilds
-- wanted are whole. What was shipped before this migration has filled its windows as it went: whole.
ALTER TABLE rule_changes
    ADD COLUMN feature text,
    ADD COLUMN rebuilds bigint REFERENCES rule_changes,
    ADD COLUMN whole boolean NOT NULL DEFAULT false;
UPDATE rule_changes SET whole = true WHERE kind = 'shipped' AND position IS NOT NULL;

DO $$
DECLARE c text;
BEGIN
    FOR c IN SELECT conname FROM pg_constraint WHERE conrelid = 'wuzha.rule_changes'::regclass AND contype = 'c' LOOP
        EXECUTE format('ALTER TABLE wuzha.rule_changes DROP CONSTRAINT %I', c);
    END LOOP;
END $$;
ALTER TABLE rule_changes
    ADD CHECK (kind IN ('shipped','promoted','retired','braked','snoozed','woken','shadowed','unshadowed','declared',
                        'undeclared','rebuilt')),
    ADD CHECK (position >= 0),
    ADD CHECK ((kind = 'shipped') = (base_id IS NOT NULL)),
    ADD CHECK ((kind IN ('shipped','declared','undeclared','rebuilt')) = (rule IS NULL)),
    ADD CHECK ((kind IN ('declared','undeclared')) = (feature IS NOT NULL)),
    ADD CHECK ((kind = 'rebuilt') = (rebuilds IS NOT NULL)),
    ADD CHECK ((kind IN ('promoted','shadowed','unshadowed','braked','declared')) = (version IS NOT NULL)),
    ADD CHECK ((kind IN ('snoozed','woken')) = (subject_id IS NOT NULL) AND (kind = 'snoozed') = (until IS NOT NULL)),
    ADD CHECK ((kind IN ('shipped','braked','rebuilt')) = (by_user IS NULL));

-- How far the rebuilding of a change's windows is, by the change.
CREATE TABLE feature_rebuilds (
    change_id  bigint PRIMARY KEY REFERENCES rule_changes,
    share      real NOT NULL DEFAULT 0,                  -- of the history that is to be read
    why        text CHECK (length(why) <= 500),          -- why the last try failed
    began_at   timestamptz NOT NULL,
    ended_at   timestamptz
);

DO $$
DECLARE t text;
BEGIN
    FOREACH t IN ARRAY ARRAY['feature_versions','feature_rebuilds'] LOOP
        EXECUTE format('ALTER TABLE wuzha.%I ENABLE ROW LEVEL SECURITY', t);
        EXECUTE format('ALTER TABLE wuzha.%I FORCE ROW LEVEL SECURITY', t);
        EXECUTE format('CREATE POLICY engine ON wuzha.%I TO wuzha_engine USING (true) WITH CHECK (true)', t);
        EXECUTE format('CREATE POLICY web ON wuzha.%I FOR SELECT TO wuzha_web USING (true)', t);
    END LOOP;
END $$;
CREATE POLICY web_write ON feature_versions FOR INSERT TO wuzha_web
    WITH CHECK (written_by = (SELECT wuzha.scope_user()));
-- A feature too comes into force by the hand of another than who wrote it.
DROP POLICY web_change ON rule_changes;
CREATE POLICY web_change ON rule_changes FOR INSERT TO wuzha_web WITH CHECK (
    by_user = (SELECT wuzha.scope_user()) AND position IS NULL AND NOT whole
    AND (kind <> 'promoted' OR EXISTS (
        SELECT 1 FROM wuzha.rule_versions v WHERE v.rule = rule_changes.rule AND v.version = rule_changes.version
           AND v.written_by <> (SELECT wuzha.scope_user())))
    AND (kind <> 'declared' OR EXISTS (
        SELECT 1 FROM wuzha.feature_versions v WHERE v.feature = rule_changes.feature
           AND v.version = rule_changes.version AND v.written_by <> (SELECT wuzha.scope_user()))));

GRANT SELECT ON feature_versions, feature_rebuilds TO wuzha_engine, wuzha_web;
GRANT INSERT ON feature_versions TO wuzha_web;
GRANT INSERT, UPDATE, DELETE ON feature_rebuilds TO wuzha_engine;
