-- name: search.alerts
-- Ids of alerts whose person or line has, or begins with, this number or name; read again under the caller's policies.
SELECT a.alert_id FROM wuzha.alerts a JOIN wuzha.search_alerts(%(text)s) s ON s.alert_id = a.alert_id;
