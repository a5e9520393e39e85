-- name: outbox.enqueue
-- Puts one message in; the same one again is nothing.
INSERT INTO wuzha.outbox (recipient, kind, key, body, created_at)
VALUES (%(recipient)s, %(kind)s, %(key)s, %(body)s, %(created_at)s)
ON CONFLICT (recipient, kind, key) DO NOTHING RETURNING number;

-- name: outbox.waiting
-- What a recipient has not receipted yet, in order.
SELECT number, kind, key, body, created_at FROM wuzha.outbox
 WHERE recipient = %(recipient)s AND receipted_at IS NULL ORDER BY number LIMIT %(limit)s;

-- name: outbox.receipt
-- Notes the receipt of one message; the first receipt stands.
UPDATE wuzha.outbox SET receipted_at = %(at)s, receipt = %(receipt)s
 WHERE number = %(number)s AND receipted_at IS NULL;
