-- name: sources.register
-- A new sender.
INSERT INTO wuzha.sources (name, title, role, basis, basis_ref, basis_until, purpose, retention_days, tables,
                           late_allowance, unit_id, created_at)
VALUES (%(name)s, %(title)s, %(role)s, %(basis)s, %(basis_ref)s, %(basis_until)s, %(purpose)s, %(retention_days)s,
        %(tables)s, %(late_allowance)s, %(unit_id)s, %(created_at)s)
RETURNING source_id;

-- name: sources.change
-- What may change about a sender; its name never does, since events carry it.
UPDATE wuzha.sources
   SET title = %(title)s, role = %(role)s, basis = %(basis)s, basis_ref = %(basis_ref)s, basis_until = %(basis_until)s,
       purpose = %(purpose)s, retention_days = %(retention_days)s, tables = %(tables)s,
       late_allowance = %(late_allowance)s, unit_id = %(unit_id)s, active = %(active)s
 WHERE source_id = %(source_id)s;

-- name: sources.all
-- Every sender by name, with its keys that work and when one was last used.
SELECT s.*, count(k.key_id) FILTER (WHERE k.revoked_at IS NULL) AS keys, max(k.last_used_at) AS last_used_at
  FROM wuzha.sources s LEFT JOIN wuzha.api_keys k USING (source_id) GROUP BY s.source_id ORDER BY s.name;

-- name: sources.one
-- One sender by number or name.
SELECT s.*, count(k.key_id) FILTER (WHERE k.revoked_at IS NULL) AS keys, max(k.last_used_at) AS last_used_at
  FROM wuzha.sources s LEFT JOIN wuzha.api_keys k USING (source_id)
 WHERE s.source_id = %(source_id)s OR s.name = %(name)s GROUP BY s.source_id;
