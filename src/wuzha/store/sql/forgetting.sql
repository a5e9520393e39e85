-- name: forgetting.sent
-- What a recipient has receipted before a time: of numbered ones those below the first that must stay.
WITH stays AS (
    SELECT o.recipient, least(min(o.crossing) FILTER (WHERE o.receipted_at IS NULL OR o.receipted_at >= %(before)s),
                              max(o.crossing) FILTER (WHERE o.receipted_at IS NOT NULL)) AS first
      FROM wuzha.outbox o WHERE o.crossing IS NOT NULL GROUP BY o.recipient),
gone AS (
    SELECT o.number FROM wuzha.outbox o LEFT JOIN stays s USING (recipient)
     WHERE o.receipted_at < %(before)s AND (o.crossing IS NULL OR o.crossing < s.first)
     ORDER BY o.recipient, o.crossing LIMIT %(limit)s)
DELETE FROM wuzha.outbox o USING gone WHERE o.number = gone.number;

-- name: forgetting.taken
-- What came before a time and has taken effect, but the newest of each peer's numbering; all of a numbering that is over.
WITH gone AS (
    SELECT i.peer, i.stream, i.number FROM wuzha.exchange_inbox i JOIN wuzha.exchange_peers p USING (peer)
     WHERE i.refused IS NULL AND i.received_at < %(before)s AND coalesce(i.applied_at, i.received_at) < %(before)s
       AND (p.their_stream IS DISTINCT FROM i.stream OR (i.number <= p.applied AND i.number < (
            SELECT max(n.number) FROM wuzha.exchange_inbox n WHERE n.peer = i.peer AND n.stream = i.stream)))
     ORDER BY i.peer, i.stream, i.number LIMIT %(limit)s)
DELETE FROM wuzha.exchange_inbox i USING gone
 WHERE i.peer = gone.peer AND i.stream = gone.stream AND i.number = gone.number;
