-- The only functions that know the application's table. They take and return text, never the application's own types, and
-- name the table late: plpgsql looks at it when they run, so that the application may migrate its table as it likes.
-- Arrays are positional: element i of every argument belongs to room i.

CREATE TYPE roomclaim.row_input AS (columns text[]); -- the configured columns of one row

-- The words that we write must be values of the status column. Where the application has renamed or taken away one, no row is at
-- fault: the operator must act, and everything waits. The column's type is asked for anew each time: a variable of it would
-- keep the one that the column had when this session first came here.
CREATE OR REPLACE FUNCTION roomclaim.application_require_statuses() RETURNS void
LANGUAGE plpgsql VOLATILE AS $$
DECLARE
    type regtype := pg_typeof((SELECT f.@STATUS@ FROM @TABLE@ f LIMIT 0));
BEGIN
    EXECUTE format('SELECT word::%s FROM unnest($1) AS word', type) USING ARRAY['initiated', 'processing', 'completed', 'dropped'];
EXCEPTION WHEN data_exception OR integrity_constraint_violation THEN
    RAISE EXCEPTION 'the application''s status lacks a value that roomclaim needs: %', SQLERRM USING ERRCODE = 'RC002';
END $$;

-- Locks the rooms' rows, in their order, as far as nobody holds them: nothing of ours ever waits for such a row. All decisions
-- about rows begin here. Returns for each room whether its row is locked by us now (all of them, if there are several); false
-- also when it has none.
CREATE OR REPLACE FUNCTION roomclaim.application_lock(rooms text[]) RETURNS boolean[]
LANGUAGE plpgsql VOLATILE AS $$
BEGIN
    PERFORM roomclaim.application_require_statuses();
    RETURN coalesce((SELECT array_agg(x.found > 0 AND x.found = (SELECT count(*) FROM @TABLE@ f WHERE f.@ROOM@ = p.room) ORDER BY p.i)
                       FROM unnest(rooms) WITH ORDINALITY AS p(room, i),
                            LATERAL (SELECT count(*) AS found
                                       FROM (SELECT 1 FROM @TABLE@ f WHERE f.@ROOM@ = p.room
                                                FOR NO KEY UPDATE SKIP LOCKED) AS locked) AS x), '{}');
END $$;

-- What the rows say. known: the primary key that we have seen for the room, or NULL; it decides when there are two rows.
-- copies is the number of rows that the answer could be meant by (0, 1, or 2 for several).
CREATE OR REPLACE FUNCTION roomclaim.application_read(rooms text[], known text[])
RETURNS TABLE(i int, copies int, id text, status text, ready boolean)
LANGUAGE plpgsql VOLATILE AS $$
BEGIN
    RETURN QUERY
    SELECT p.i::int,
           CASE WHEN x.found > 1 AND x.known_id IS NOT NULL THEN 1 ELSE least(x.found, 2)::int END,
           coalesce(x.known_id, x.any_id),
           CASE WHEN x.known_id IS NOT NULL THEN x.known_status ELSE x.any_status END,
           CASE WHEN x.known_id IS NOT NULL THEN x.known_ready ELSE x.any_ready END
      FROM unnest(rooms, known) WITH ORDINALITY AS p(room, known, i),
           LATERAL (SELECT count(*) AS found,
                           min(f.@ID@::text) AS any_id,
                           min(f.@STATUS@::text) AS any_status,
                           coalesce(bool_and(@READY@), false) AS any_ready,
                           min(f.@ID@::text) FILTER (WHERE f.@ID@::text = p.known) AS known_id,
                           min(f.@STATUS@::text) FILTER (WHERE f.@ID@::text = p.known) AS known_status,
                           coalesce(bool_and(@READY@) FILTER (WHERE f.@ID@::text = p.known), false) AS known_ready
                      FROM @TABLE@ f WHERE f.@ROOM@ = p.room) AS x;
END $$;

-- The configured input of the rows with these keys; NULL where the key is NULL.
CREATE OR REPLACE FUNCTION roomclaim.application_input(rooms text[], ids text[]) RETURNS roomclaim.row_input[]
LANGUAGE plpgsql VOLATILE AS $$
BEGIN
    RETURN (SELECT array_agg(x.input ORDER BY p.i)
              FROM unnest(rooms, ids) WITH ORDINALITY AS p(room, id, i)
              LEFT JOIN LATERAL (SELECT ROW(ARRAY[@INPUT@])::roomclaim.row_input AS input FROM @TABLE@ f
                                  WHERE f.@ROOM@ = ANY (ARRAY[p.room]) AND f.@ID@::text = p.id) AS x ON true);
END $$;

-- What writes the row runs the application's triggers, and these name their tables without a schema: so the schema of the
-- application's table is in the path. Where others may make objects in it, a name of ours must not find theirs: hence the
-- schema at every function and operator. A status is written as a literal, which takes the type that the column has now.

-- The conditional update: a row's status goes from what was seen under its lock to the new one. Returns the rooms whose row
-- really changed.
CREATE OR REPLACE FUNCTION roomclaim.application_move(rooms text[], ids text[], old_status text[], new_status text)
RETURNS SETOF text
LANGUAGE plpgsql VOLATILE SET search_path = pg_catalog, @SCHEMA@, pg_temp AS $$
BEGIN
    RETURN QUERY
    UPDATE @TABLE@ f SET @STATUS@ = CASE WHEN new_status OPERATOR(pg_catalog.=) 'processing' THEN 'processing'
                                         WHEN new_status OPERATOR(pg_catalog.=) 'initiated' THEN 'initiated'
                                         WHEN new_status OPERATOR(pg_catalog.=) 'dropped' THEN 'dropped' ELSE f.@STATUS@ END
      FROM ROWS FROM (pg_catalog.unnest(rooms), pg_catalog.unnest(ids), pg_catalog.unnest(old_status)) AS p(room, id, old)
     WHERE f.@ROOM@ OPERATOR(pg_catalog.=) ANY (ARRAY[p.room]) AND f.@ID@::text OPERATOR(pg_catalog.=) p.id
       AND f.@STATUS@::text OPERATOR(pg_catalog.=) p.old
    RETURNING p.room;
END $$;

-- As application_move, to completed, with the result where a column for it is configured.
CREATE OR REPLACE FUNCTION roomclaim.application_complete(rooms text[], ids text[], old_status text[], results jsonb[])
RETURNS SETOF text
LANGUAGE plpgsql VOLATILE SET search_path = pg_catalog, @SCHEMA@, pg_temp AS $$
BEGIN
    RETURN QUERY
    UPDATE @TABLE@ f SET @STATUS@ = 'completed'@SET_RESULT@
      FROM ROWS FROM (pg_catalog.unnest(rooms), pg_catalog.unnest(ids), pg_catalog.unnest(old_status), pg_catalog.unnest(results))
           AS p(room, id, old, result)
     WHERE f.@ROOM@ OPERATOR(pg_catalog.=) ANY (ARRAY[p.room]) AND f.@ID@::text OPERATOR(pg_catalog.=) p.id
       AND f.@STATUS@::text OPERATOR(pg_catalog.=) p.old
    RETURNING p.room;
END $$;

-- The sid that the row with this primary key has now; NULL: there is no such row.
CREATE OR REPLACE FUNCTION roomclaim.application_room_by_id(row_id text) RETURNS text
LANGUAGE plpgsql VOLATILE AS $$
DECLARE
    key @TABLE@.@ID@%TYPE := row_id;
BEGIN
    RETURN (SELECT coalesce(f.@ROOM@::text, '') FROM @TABLE@ f WHERE f.@ID@ = key);
END $$;

-- The row that has this primary key, wherever its room's sid is now: locks it, and moves it from processing. For a room
-- whose row can't be found by the sid any more. Returns false if it is still processing: somebody holds it, or a trigger keeps it.
CREATE OR REPLACE FUNCTION roomclaim.application_move_by_id(row_id text, new_status text) RETURNS boolean
LANGUAGE plpgsql VOLATILE SET search_path = pg_catalog, @SCHEMA@, pg_temp AS $$
DECLARE
    key @TABLE@.@ID@%TYPE := row_id;
BEGIN
    PERFORM 1 FROM @TABLE@ f WHERE f.@ID@ OPERATOR(pg_catalog.=) key FOR NO KEY UPDATE SKIP LOCKED;
    IF FOUND THEN
        UPDATE @TABLE@ f SET @STATUS@ = CASE WHEN new_status OPERATOR(pg_catalog.=) 'initiated' THEN 'initiated'
                                             WHEN new_status OPERATOR(pg_catalog.=) 'dropped' THEN 'dropped' ELSE f.@STATUS@ END
         WHERE f.@ID@ OPERATOR(pg_catalog.=) key AND f.@STATUS@::text OPERATOR(pg_catalog.=) 'processing';
    END IF;
    RETURN NOT EXISTS (SELECT 1 FROM @TABLE@ f
                        WHERE f.@ID@ OPERATOR(pg_catalog.=) key AND f.@STATUS@::text OPERATOR(pg_catalog.=) 'processing');
END $$;
