-- name: keys.insert
-- A new key: its prefix to find it by and its hash.
INSERT INTO wuzha.api_keys (source_id, prefix, key_hash, created_at, created_by)
VALUES (%(source_id)s, %(prefix)s, %(key_hash)s, %(created_at)s, %(created_by)s) RETURNING key_id;

-- name: keys.by_prefix
-- The key with this prefix that works, and its active sender.
SELECT k.key_id, k.key_hash, k.last_used_at, s.* FROM wuzha.api_keys k JOIN wuzha.sources s USING (source_id)
 WHERE k.prefix = %(prefix)s AND k.revoked_at IS NULL AND s.active;

-- name: keys.used
-- Notes when a key was last used, unless somebody is noting it this moment.
UPDATE wuzha.api_keys SET last_used_at = %(at)s
 WHERE key_id = (SELECT key_id FROM wuzha.api_keys WHERE key_id = %(key_id)s FOR UPDATE SKIP LOCKED);

-- name: keys.revoke
-- Ends a key at once and for good.
UPDATE wuzha.api_keys SET revoked_at = %(at)s WHERE key_id = %(key_id)s AND revoked_at IS NULL;

-- name: keys.of_source
-- Every key of a sender, newest first, without its hash.
SELECT key_id, source_id, prefix, created_at, created_by, last_used_at, revoked_at FROM wuzha.api_keys
 WHERE source_id = %(source_id)s ORDER BY key_id DESC;
