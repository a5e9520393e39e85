-- The desk: what a step carries so that it can be undone, the officer's code, money avoided and lost.
-- Run as wuzha_owner.

SET LOCAL search_path = wuzha;

ALTER TABLE alerts ADD COLUMN contacted_at timestamptz,   -- the first attempt of ours to reach the person
                   ADD COLUMN avoided_fen bigint,         -- money evidenced at risk that did not leave
                   ADD COLUMN lost_fen bigint;            -- money that left all the same
GRANT UPDATE (contacted_at, avoided_fen, lost_fen) ON alerts TO wuzha_web;

ALTER TABLE contacts ADD COLUMN to_id bigint REFERENCES subjects,       -- line or person that was tried
                     ADD COLUMN amount_fen bigint,
                     ADD COLUMN undoes bigint REFERENCES contacts,      -- the step that this one takes back
                     ADD COLUMN before jsonb;                           -- the desk's columns before this step
CREATE UNIQUE INDEX contacts_undone_once ON contacts (undoes) WHERE undoes IS NOT NULL;
CREATE INDEX contacts_user ON contacts (user_id, at);
CREATE INDEX alerts_signed_by ON alerts (signed_by) WHERE state <> 'closed';
CREATE INDEX alerts_closed_at ON alerts (closed_at) WHERE closed_at IS NOT NULL;

-- 民警身份核验码: said on the phone, read back by the person to 96110, true only for one officer, file and while.
CREATE TABLE officer_codes (
    code     text NOT NULL CHECK (code ~ '^[0-9]{4,8}$'),
    alert_id bigint NOT NULL REFERENCES alerts,
    user_id  bigint NOT NULL REFERENCES users,
    at       timestamptz NOT NULL,
    until    timestamptz NOT NULL,
    PRIMARY KEY (alert_id, user_id, at)
);
CREATE INDEX officer_codes_code ON officer_codes (code);
ALTER TABLE officer_codes ENABLE ROW LEVEL SECURITY;   ALTER TABLE officer_codes FORCE ROW LEVEL SECURITY;
CREATE POLICY web ON officer_codes TO wuzha_web 
    USING (EXISTS (SELECT 1 FROM wuzha.alerts a WHERE a.alert_id = officer_codes.alert_id));
GRANT SELECT, INSERT ON officer_codes TO wuzha_web;
