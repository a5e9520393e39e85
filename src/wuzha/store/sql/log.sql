-- name: log.lock
-- Takes the one appender's lock, held until the transaction ends, and says how far the log and its runs reach.
SELECT h.position, h.folded, (SELECT d.oid::bigint FROM pg_database d WHERE d.datname = current_database())
  FROM wuzha.log_head h FOR UPDATE;

-- name: log.head
-- The newest committed position.
SELECT position FROM wuzha.log_head;

-- name: log.advance
-- Moves the head on to the newest position of this transaction.
UPDATE wuzha.log_head SET position = %(position)s;

-- name: log.insert
-- One batch at its position.
INSERT INTO wuzha.log (position, table_name, schema_version, source, n, min_ts, max_ts, received_at, basis, basis_ref,
                       basis_until, payload, fingerprints)
VALUES (%(position)s, %(table)s, %(version)s, %(source)s, %(n)s, %(min_ts)s, %(max_ts)s, %(received_at)s, %(basis)s,
        %(basis_ref)s, %(basis_until)s, %(payload)s, %(fingerprints)s);

-- name: log.span
-- Positions after one, up to about so many rows, at least one batch.
SELECT position FROM (
    SELECT position, sum(n) OVER (ORDER BY position) - n AS before FROM (
        SELECT position, n FROM wuzha.log WHERE position > %(after)s AND position <= %(until)s
         ORDER BY position LIMIT 20000) AS near) AS counted
 WHERE before < %(rows)s ORDER BY position;

-- name: log.read
-- Whole batches at these positions, in order.
SELECT position, table_name, schema_version, source, n, min_ts, max_ts, received_at, basis, basis_ref, basis_until, payload
  FROM wuzha.log WHERE position = ANY(%(positions)s) ORDER BY position;

-- name: log.leave
-- One batch that goes to the stream once this transaction stands.
INSERT INTO wuzha.log_outgoing (table_name, schema_version, source, n, min_ts, max_ts, received_at, basis, basis_ref,
                                basis_until, payload, fingerprints)
VALUES (%(table)s, %(version)s, %(source)s, %(n)s, %(min_ts)s, %(max_ts)s, %(received_at)s, %(basis)s, %(basis_ref)s,
        %(basis_until)s, %(payload)s, %(fingerprints)s);

-- name: log.leaving
-- Batches that wait to go to the stream, the oldest first.
SELECT number, table_name, schema_version, source, received_at, basis, basis_ref, basis_until, payload
  FROM wuzha.log_outgoing ORDER BY number LIMIT %(limit)s;

-- name: log.left
-- Batches that stand in the stream now.
DELETE FROM wuzha.log_outgoing WHERE number = ANY(%(numbers)s);

-- name: log.carrying
-- Takes the one carrier's lock, held until the transaction ends; false where another carries.
SELECT pg_try_advisory_xact_lock(%(lock)s);

-- name: log.place
-- Where this deployment's log stands: the stream's name, null for the database; and how far log, runs and results reach.
SELECT h.stream, h.position, h.folded, (SELECT coalesce(max(p.position), 0) FROM wuzha.partitions p)
  FROM wuzha.log_head h FOR UPDATE;

-- name: log.stands
-- Records where the log stands.
UPDATE wuzha.log_head SET stream = %(stream)s;

-- name: log.over_at
-- Positions whose basis is over.
SELECT position FROM wuzha.log WHERE position <= %(until)s AND basis_until <= %(now)s ORDER BY position;

-- name: log.fingerprints
-- Fingerprints after a position for the sources asked for (null for others), and whether the row is this transaction's.
SELECT position, xact = pg_current_xact_id(), CASE WHEN source = ANY(%(sources)s) THEN fingerprints END
  FROM wuzha.log WHERE position > %(after)s ORDER BY position LIMIT %(limit)s;

-- name: log.fingerprints_between
-- Fingerprints of some sources between two positions: a source that a process meets for the first time.
SELECT position, fingerprints FROM wuzha.log
 WHERE source = ANY(%(sources)s) AND position > %(after)s AND position <= %(until)s ORDER BY position LIMIT %(limit)s;

-- name: log.fingerprints_all
-- Fingerprints of every source between two positions, for folding.
SELECT position, fingerprints FROM wuzha.log
 WHERE position > %(after)s AND position <= %(until)s ORDER BY position LIMIT %(limit)s;

-- name: log.folded_to
-- How far the runs reach.
SELECT folded FROM wuzha.log_head;

-- name: log.unfolded
-- The newest position, and how many rows stand in no run yet.
SELECT h.position, (SELECT coalesce(sum(n), 0) FROM wuzha.log l WHERE l.position > h.folded) FROM wuzha.log_head h;

-- name: log.runs_of_days
-- Which runs of these days may hold events between two times.
SELECT run, day, n, first_ts, last_ts FROM wuzha.log_runs
 WHERE day = ANY(%(days)s) AND (first_ts IS NULL OR first_ts <= %(last)s AND last_ts >= %(first)s);

-- name: log.folded_and_runs
-- How far the runs reach, and which of these days may hold events between two times: both at one moment.
SELECT h.folded, r.run, r.day, r.first_ts, r.last_ts FROM wuzha.log_head h
  LEFT JOIN wuzha.log_runs r ON r.day = ANY(%(days)s)
   AND (r.first_ts IS NULL OR r.first_ts <= %(last)s AND r.last_ts >= %(first)s);

-- name: log.runs_not_full
-- Runs of a day that others are merged into.
SELECT run FROM wuzha.log_runs WHERE day = %(day)s AND first_ts IS NULL;

-- name: log.runs_over
-- Drops runs of days before one.
DELETE FROM wuzha.log_runs WHERE day < %(before)s;

-- name: log.runs
-- The pairs of these runs.
SELECT run, pairs FROM wuzha.log_runs WHERE run = ANY(%(runs)s);

-- name: log.run_insert
-- One more run of a day.
INSERT INTO wuzha.log_runs (day, n, first_ts, last_ts, pairs)
VALUES (%(day)s, %(n)s, %(first)s, %(last)s, %(pairs)s);

-- name: log.runs_delete
-- Runs that have been merged into another.
DELETE FROM wuzha.log_runs WHERE run = ANY(%(runs)s);

-- name: log.folded
-- Notes that runs hold every row up to this position.
UPDATE wuzha.log_head SET folded = %(position)s;

-- name: log.trim
-- Drops log rows that history holds and runs remember.
DELETE FROM wuzha.log WHERE position <= %(until)s;

-- name: log.over
-- The newest row up to a position whose basis is over.
SELECT max(position) FROM wuzha.log WHERE position <= %(until)s AND basis_until <= %(now)s;

-- name: log.drop_over
-- Drops rows whose basis is over and that runs remember.
DELETE FROM wuzha.log WHERE position <= %(until)s AND basis_until <= %(now)s;

-- name: log.reject
-- A refused row, kept for its sender and for the source's page.
INSERT INTO wuzha.rejects (source, table_name, received_at, event_id, column_name, value, reason, message)
VALUES (%(source)s, %(table)s, %(received_at)s, %(event_id)s, %(column)s, %(value)s, %(reason)s, %(message)s);
