-- Every version of every row, for the recording of a run. Only tests have this schema. The writers need no right in it, and
-- none of their statements has another plan.
CREATE SCHEMA audit;
CREATE TABLE audit.version (
    n bigint GENERATED ALWAYS AS IDENTITY, t timestamptz NOT NULL, tab text NOT NULL, op text NOT NULL, by text NOT NULL,
    old jsonb, new jsonb
);
CREATE FUNCTION audit.note() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog AS $$
BEGIN
    INSERT INTO audit.version (t, tab, op, by, old, new)
    VALUES (clock_timestamp(), TG_ARGV[0], TG_OP, session_user || '/' || current_setting('application_name'),
            CASE WHEN TG_OP <> 'INSERT' THEN to_jsonb(OLD) END, CASE WHEN TG_OP <> 'DELETE' THEN to_jsonb(NEW) END);
    RETURN NULL;
END $$;
CREATE TRIGGER audit AFTER INSERT OR UPDATE OR DELETE ON "UserFeedback" FOR EACH ROW EXECUTE FUNCTION audit.note('application');
CREATE TRIGGER audit AFTER INSERT OR UPDATE OR DELETE ON roomclaim.room FOR EACH ROW EXECUTE FUNCTION audit.note('room');
CREATE TRIGGER audit AFTER INSERT OR UPDATE OR DELETE ON roomclaim.analysis FOR EACH ROW EXECUTE FUNCTION audit.note('analysis');
CREATE TRIGGER audit AFTER INSERT OR UPDATE OR DELETE ON roomclaim.call FOR EACH ROW EXECUTE FUNCTION audit.note('call');
-- What is there already: as if it had been written now.
INSERT INTO audit.version (t, tab, op, by, new)
SELECT clock_timestamp(), 'application', 'INSERT', session_user || '/', to_jsonb(f) FROM "UserFeedback" f
UNION ALL SELECT clock_timestamp(), 'room', 'INSERT', session_user || '/', to_jsonb(r) FROM roomclaim.room r
UNION ALL SELECT clock_timestamp(), 'analysis', 'INSERT', session_user || '/', to_jsonb(a) FROM roomclaim.analysis a
UNION ALL SELECT clock_timestamp(), 'call', 'INSERT', session_user || '/', to_jsonb(c) FROM roomclaim.call c;
