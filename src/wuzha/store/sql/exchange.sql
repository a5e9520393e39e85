-- name: exchange.meet
-- Begins the bookkeeping of a peer, once.
INSERT INTO wuzha.exchange_peers (peer, stream) VALUES (%(peer)s, %(stream)s) ON CONFLICT (peer) DO NOTHING;

-- name: exchange.peer
-- The bookkeeping of a peer, locked until the transaction ends.
SELECT * FROM wuzha.exchange_peers WHERE peer = %(peer)s FOR UPDATE;

-- name: exchange.number
-- Gives the messages that leave now their numbers, without gaps, in the order in which they were queued.
WITH last AS (SELECT coalesce(max(crossing), 0) AS n FROM wuzha.outbox WHERE recipient = %(recipient)s),
     fresh AS (SELECT number, row_number() OVER (ORDER BY number) AS k FROM wuzha.outbox
                WHERE recipient = %(recipient)s AND crossing IS NULL AND receipted_at IS NULL
                ORDER BY number LIMIT %(limit)s)
UPDATE wuzha.outbox o SET crossing = last.n + fresh.k FROM fresh, last WHERE o.number = fresh.number;

-- name: exchange.to_write
-- Messages without a receipt whose file was never written (they come first), or so long ago that it may be lost.
SELECT crossing, kind, key, body, created_at, written_at FROM wuzha.outbox
 WHERE recipient = %(recipient)s AND receipted_at IS NULL AND crossing IS NOT NULL
   AND (written_at IS NULL OR written_at < %(before)s)
 ORDER BY written_at NULLS FIRST, crossing LIMIT %(limit)s;

-- name: exchange.written
-- Notes that files were written.
UPDATE wuzha.outbox SET written_at = %(at)s WHERE recipient = %(recipient)s AND crossing = ANY(%(numbers)s);

-- name: exchange.upto
-- The newest number given towards a recipient.
SELECT coalesce(max(crossing), 0) FROM wuzha.outbox WHERE recipient = %(recipient)s;

-- name: exchange.beat
-- Notes our beat.
UPDATE wuzha.exchange_peers SET serial = %(serial)s, beat_at = %(at)s WHERE peer = %(peer)s;

-- name: exchange.receipt
-- Notes what a peer's receipt covers: everything up to its number but what it misses.
UPDATE wuzha.outbox SET receipted_at = %(at)s, receipt = %(receipt)s
 WHERE recipient = %(recipient)s AND receipted_at IS NULL AND crossing <= %(upto)s
   AND NOT crossing = ANY(%(missing)s) RETURNING crossing;

-- name: exchange.again
-- What the peer misses though it was written long ago, or once said it had, is written anew.
UPDATE wuzha.outbox SET receipted_at = NULL, receipt = NULL, written_at = NULL
 WHERE recipient = %(recipient)s
   AND ((crossing = ANY(%(missing)s) AND written_at < %(before)s)
        OR (crossing = ANY(%(missing)s) AND receipted_at IS NOT NULL)
        OR (crossing > %(upto)s AND receipted_at IS NOT NULL));

-- name: exchange.renumber
-- Begins our numbering towards a peer anew: what it has no receipt for will get new numbers.
UPDATE wuzha.outbox SET crossing = NULL, written_at = NULL WHERE recipient = %(recipient)s AND crossing IS NOT NULL;

-- name: exchange.stream
-- Notes the name of our new numbering.
UPDATE wuzha.exchange_peers SET stream = %(stream)s WHERE peer = %(peer)s;

-- name: exchange.keep
-- Keeps a message that came; the same one again is nothing.
INSERT INTO wuzha.exchange_inbox (peer, stream, number, digest, kind, key, body, created_at, received_at)
VALUES (%(peer)s, %(stream)s, %(number)s, %(digest)s, %(kind)s, %(key)s, %(body)s, %(created_at)s, %(received_at)s)
ON CONFLICT (peer, stream, number) DO NOTHING;

-- name: exchange.digest
-- What is kept under a number.
SELECT digest FROM wuzha.exchange_inbox WHERE peer = %(peer)s AND stream = %(stream)s AND number = %(number)s;

-- name: exchange.first_stream
-- The peer's numbering is known from the first letter that names it.
UPDATE wuzha.exchange_peers SET their_stream = %(stream)s WHERE peer = %(peer)s AND their_stream IS NULL;

-- name: exchange.heard
-- Notes a peer's beat; one of a new numbering starts from its first message.
UPDATE wuzha.exchange_peers
   SET applied = CASE WHEN their_stream = %(stream)s THEN applied ELSE 0 END,
       their_stream = %(stream)s, their_serial = %(serial)s, their_upto = %(upto)s, their_at = %(their_at)s,
       heard_at = %(at)s
 WHERE peer = %(peer)s;

-- name: exchange.next
-- The message whose turn it is.
SELECT i.number, i.kind, i.key, i.body, i.created_at FROM wuzha.exchange_inbox i
  JOIN wuzha.exchange_peers p ON p.peer = i.peer AND p.their_stream = i.stream AND i.number = p.applied + 1
 WHERE i.peer = %(peer)s;

-- name: exchange.before
-- Whether a message of this name has taken effect under another number.
SELECT 1 FROM wuzha.exchange_inbox
 WHERE peer = %(peer)s AND kind = %(kind)s AND key = %(key)s AND applied_at IS NOT NULL AND refused IS NULL LIMIT 1;

-- name: exchange.applied
-- Notes that a message has taken effect, or why it could not.
WITH done AS (UPDATE wuzha.exchange_peers SET applied = %(number)s WHERE peer = %(peer)s RETURNING their_stream)
UPDATE wuzha.exchange_inbox i
   SET applied_at = %(at)s, refused = %(refused)s, body = CASE WHEN %(refused)s::text IS NULL THEN NULL ELSE body END
  FROM done WHERE i.peer = %(peer)s AND i.stream = done.their_stream AND i.number = %(number)s;

-- name: exchange.current
-- Where every message that the last beat counted has taken effect, we know all that was told until then.
UPDATE wuzha.exchange_peers SET current_until = their_at
 WHERE peer = %(peer)s AND their_at IS NOT NULL AND applied >= their_upto;

-- name: exchange.missing
-- Numbers that should be here and are not: up to the newest that is here, or that the peer's beat has counted.
WITH p AS (SELECT peer, their_stream, applied, their_upto FROM wuzha.exchange_peers WHERE peer = %(peer)s),
     top AS (SELECT greatest(p.their_upto, coalesce(max(i.number), 0)) AS n FROM p
               LEFT JOIN wuzha.exchange_inbox i ON i.peer = p.peer AND i.stream = p.their_stream
                                               AND i.number > p.applied GROUP BY p.their_upto)
SELECT g.n FROM p, top, LATERAL generate_series(p.applied + 1, least(top.n, p.applied + %(limit)s)) AS g(n)
 WHERE NOT EXISTS (SELECT 1 FROM wuzha.exchange_inbox i
                    WHERE i.peer = p.peer AND i.stream = p.their_stream AND i.number = g.n) ORDER BY g.n;

-- name: exchange.newest
-- The newest message of a peer's numbering that is here, below a number.
SELECT number, digest FROM wuzha.exchange_inbox
 WHERE peer = %(peer)s AND stream = %(stream)s AND number < %(below)s ORDER BY number DESC LIMIT 1;

-- name: exchange.sent
-- A message that was sent under a number.
SELECT kind, key, body, created_at FROM wuzha.outbox WHERE recipient = %(recipient)s AND crossing = %(number)s;

-- name: exchange.aside
-- Notes a file that was set aside.
INSERT INTO wuzha.exchange_aside (digest, peer, name, reason, size, at)
VALUES (%(digest)s, %(peer)s, %(name)s, %(reason)s, %(size)s, %(at)s) ON CONFLICT DO NOTHING;

-- name: exchange.status
-- How a peer stands.
SELECT p.*,
       (SELECT count(*) FROM wuzha.outbox o WHERE o.recipient = %(recipient)s AND o.receipted_at IS NULL) AS waiting,
       (SELECT min(o.created_at) FROM wuzha.outbox o
         WHERE o.recipient = %(recipient)s AND o.receipted_at IS NULL) AS waiting_since,
       (SELECT count(*) FROM wuzha.exchange_inbox i WHERE i.peer = p.peer AND i.refused IS NOT NULL) AS refused,
       (SELECT count(*) FROM wuzha.exchange_aside a WHERE a.peer = p.peer) AS aside,
       (SELECT a.reason FROM wuzha.exchange_aside a WHERE a.peer = p.peer ORDER BY a.at DESC LIMIT 1) AS aside_why
  FROM wuzha.exchange_peers p WHERE p.peer = %(peer)s;
