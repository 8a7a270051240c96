
-- A new function may be called by everybody; the schema keeps them out, and so does this. Who could call a function before
-- may call the one with the same arguments again: roles.sql may not be run, and knows its own roles only.
REVOKE ALL ON ALL FUNCTIONS IN SCHEMA roomclaim FROM PUBLIC;
DO $$
DECLARE
    given record;
BEGIN
    FOR given IN
        SELECT g.*
          FROM jsonb_to_recordset(current_setting('roomclaim.grants')::jsonb) AS g("function" text, grantee text, more text)
          JOIN pg_proc p ON p.oid::regprocedure::text = g."function"
         WHERE p.pronamespace = 'roomclaim'::regnamespace
    LOOP
        EXECUTE format('GRANT EXECUTE ON ROUTINE %s TO %s%s', given."function", given.grantee, given.more);
    END LOOP;
END $$;
