-- name: audit.append
-- One audit row, in the transaction of what it tells.
INSERT INTO wuzha.audit (at, user_id, unit_id, actor, action, object, detail)
VALUES (%(at)s, %(user_id)s, %(unit_id)s, %(actor)s, %(action)s, %(object)s, %(detail)s);

-- name: audit.list
-- Newest rows first, with the filters that are not null; the policies decide what is seen.
SELECT audit_id, at, user_id, unit_id, actor, action, object, detail, sealed FROM wuzha.audit
 WHERE (%(before)s::bigint IS NULL OR audit_id < %(before)s)
   AND (%(since)s::timestamptz IS NULL OR at >= %(since)s)
   AND (%(actor)s::text IS NULL OR actor = %(actor)s)
   AND (%(action)s::text IS NULL OR action = %(action)s OR action LIKE %(action)s || '.%%')
   AND (%(object)s::text IS NULL OR object = %(object)s)
 ORDER BY audit_id DESC LIMIT %(limit)s;

-- name: audit.lock
-- One sealer at a time, until the transaction ends.
SELECT pg_advisory_xact_lock(%(lock)s);

-- name: audit.last_seal
-- The newest seal.
SELECT seal, last_id, n, head FROM wuzha.audit_seals ORDER BY seal DESC LIMIT 1;

-- name: audit.unsealed
-- Rows that are not chained yet, however late they were committed.
SELECT audit_id, at, user_id, unit_id, actor, action, object, detail::text FROM wuzha.audit
 WHERE sealed IS NULL ORDER BY audit_id LIMIT %(limit)s;

-- name: audit.chain
-- Writes seal and hash into the rows of one seal.
UPDATE wuzha.audit a SET sealed = %(seal)s, hash = x.hash
  FROM unnest(%(ids)s::bigint[], %(hashes)s::bytea[]) AS x (audit_id, hash)
 WHERE a.audit_id = x.audit_id AND a.sealed IS NULL;

-- name: audit.seal
-- The seal over them.
INSERT INTO wuzha.audit_seals (seal, at, last_id, n, head)
VALUES (%(seal)s, %(at)s, %(last_id)s, %(n)s, %(head)s);

-- name: audit.seals
-- Every seal after one, in order.
SELECT seal, at, last_id, n, head FROM wuzha.audit_seals WHERE seal > %(after)s ORDER BY seal;

-- name: audit.sealed_rows
-- Every chained row in the order of the chain.
SELECT sealed, hash, audit_id, at, user_id, unit_id, actor, action, object, detail::text FROM wuzha.audit
 WHERE sealed IS NOT NULL ORDER BY sealed, audit_id;

-- name: audit.waiting
-- How many rows wait for the sealer.
SELECT count(*) FROM wuzha.audit WHERE sealed IS NULL;
