-- Roles that logins are put into: GRANT roomclaim_consumer TO my_login. They belong to the whole cluster, so one may be there
-- already, from another database.
DO $$
DECLARE
    name text;
BEGIN
    FOREACH name IN ARRAY ARRAY['roomclaim_consumer', 'roomclaim_operator', 'roomclaim_reader'] LOOP
        CONTINUE WHEN EXISTS (SELECT 1 FROM pg_roles WHERE rolname = name);
        BEGIN
            EXECUTE format('CREATE ROLE %I NOLOGIN', name);
        EXCEPTION WHEN duplicate_object OR unique_violation THEN
            NULL;
        END;
    END LOOP;
END $$;

-- Nobody calls anything by default; each role calls what it needs. What a function calls in turn runs with the owner's rights.
REVOKE ALL ON ALL FUNCTIONS IN SCHEMA roomclaim FROM PUBLIC;
REVOKE ALL ON ALL FUNCTIONS IN SCHEMA roomclaim FROM roomclaim_consumer, roomclaim_operator, roomclaim_reader;
REVOKE ALL ON SCHEMA roomclaim FROM PUBLIC;
GRANT USAGE ON SCHEMA roomclaim TO roomclaim_consumer, roomclaim_operator, roomclaim_reader;

GRANT EXECUTE ON FUNCTION
    roomclaim.claim_v1(text[], uuid[], text[], text[], text[], int[], bigint[], text, jsonb),
    roomclaim.store_v1(text[], uuid[], text[], text[], text[], bigint[], bigint[], bigint[], bigint[], bigint[], jsonb),
    roomclaim.finish_v1(text[], jsonb),
    roomclaim.release_v1(text[], uuid[], boolean[], bigint[], text[], text[], text[], bigint[], bigint[], bigint[], bigint[], bigint[], jsonb),
    roomclaim.park_v1(text[], uuid[], text[], text[], text[], text[], bigint[], bigint[], bigint[], bigint[], bigint[], text[], text[], int[], bigint[], jsonb),
    roomclaim.sweep_v1(text, int, boolean, boolean, jsonb),
    roomclaim.dlq_acked_v1(text[]),
    roomclaim.dead_put_v1(text, int, bigint, bytea, text, text),
    roomclaim.settings_v1(), roomclaim.summary_v1(), roomclaim.version_v1()
    TO roomclaim_consumer;
GRANT EXECUTE ON FUNCTION
    roomclaim.enqueue_v1(text[], text, int, bigint, jsonb), roomclaim.pause_v1(boolean),
    roomclaim.settings_v1(), roomclaim.summary_v1(), roomclaim.version_v1()
    TO roomclaim_operator;
GRANT EXECUTE ON FUNCTION roomclaim.settings_v1(), roomclaim.summary_v1(), roomclaim.version_v1() TO roomclaim_reader;
GRANT SELECT ON ALL TABLES IN SCHEMA roomclaim TO roomclaim_reader, roomclaim_operator;
