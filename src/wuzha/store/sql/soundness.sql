-- name: soundness.setting
-- A setting as this session has it.
SELECT current_setting(%(name)s);

-- name: soundness.strong_roles
-- Roles of ours that may more than they must.
SELECT rolname FROM pg_roles
 WHERE rolname = ANY(%(names)s) AND (rolsuper OR rolbypassrls OR rolcreaterole OR rolcreatedb) ORDER BY rolname;

-- name: soundness.unbound_tables
-- Tables that have policies but are not bound by them, the owner included.
SELECT DISTINCT c.relname FROM pg_class c JOIN pg_policy p ON p.polrelid = c.oid
 WHERE c.relnamespace = 'wuzha'::regnamespace AND NOT (c.relrowsecurity AND c.relforcerowsecurity) ORDER BY 1;
