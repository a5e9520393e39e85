-- name: benches.ended
-- Workbenches whose end has come go, with their files; their numbers and units.
DELETE FROM wuzha.workbenches WHERE until <= %(now)s RETURNING workbench_id, unit_id;
