-- What an earlier version made goes first: CREATE OR REPLACE can't change what a function returns or a type holds, and leaves
-- functions of the same name with other arguments. The schema is ours alone: functions and types of others in it go, too. A
-- function that a table or somebody's view depends on stays, and is replaced where it is. Who may call what is kept for grants.sql.
DO $$
DECLARE
    name text;
    dependents text;
BEGIN
    PERFORM set_config('roomclaim.grants', (
        SELECT coalesce(jsonb_agg(jsonb_build_object('function', p.oid::regprocedure, 'grantee', a.grantee::regrole,
                                                     'more', CASE WHEN a.is_grantable THEN ' WITH GRANT OPTION' ELSE '' END)), '[]')
          FROM pg_proc p, aclexplode(p.proacl) AS a
         WHERE p.pronamespace = 'roomclaim'::regnamespace AND a.grantee NOT IN (0, p.proowner))::text, true);
    FOR name IN SELECT p.oid::regprocedure FROM pg_proc p WHERE p.pronamespace = 'roomclaim'::regnamespace ORDER BY p.oid DESC LOOP
        BEGIN
            EXECUTE 'DROP ROUTINE ' || name;
        EXCEPTION WHEN dependent_objects_still_exist THEN
            GET STACKED DIAGNOSTICS dependents = PG_EXCEPTION_DETAIL;
            RAISE WARNING '% stays, and is replaced where it is: %', name, coalesce(nullif(dependents, ''), SQLERRM);
        END;
    END LOOP;
    SELECT string_agg(c.reltype::regtype::text, ', ') INTO name FROM pg_class c
     WHERE c.relnamespace = 'roomclaim'::regnamespace AND c.relkind = 'c';
    IF name IS NOT NULL THEN
        EXECUTE 'DROP TYPE ' || name;
    END IF;
END $$;

