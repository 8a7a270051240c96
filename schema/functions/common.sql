-- What the other functions share. (A comment @point marks where the tests can hold a session while others run.)
--
-- Plans are made while tables may be empty, and are kept. A join on x = y leaves the planner a way to read a whole index in its
-- order: that costs nothing on an empty table and a second a room on a full one, and enable_seqscan does not forbid it. A join
-- on x = ANY (ARRAY[y]) leaves it the look-up only. So all joins with tables are written like this, none is ordered by a column
-- of the table (the index has that order), and no element of a batch asks a table by EXISTS (it may be answered from all of it).

-- Errors of our own have SQLSTATEs of class RC, which callers take for the operator's: they wait, and burn nothing.
-- Decisions are made in a statement after the one that took the locks, and must see what was committed before: that needs a
-- snapshot a statement.
CREATE OR REPLACE FUNCTION roomclaim.require_read_committed() RETURNS void
LANGUAGE plpgsql AS $$
BEGIN
    IF current_setting('transaction_isolation') <> 'read committed' THEN
        RAISE EXCEPTION 'roomclaim needs transaction isolation read committed, not %',
            current_setting('transaction_isolation') USING ERRCODE = 'RC001';
    END IF;
END $$;

-- A batch without a room's name is the caller's defect, and no room's fault.
CREATE OR REPLACE FUNCTION roomclaim.require_rooms(rooms text[]) RETURNS void
LANGUAGE plpgsql AS $$
BEGIN
    PERFORM roomclaim.require_read_committed();
    IF array_position(rooms, NULL) IS NOT NULL THEN
        RAISE EXCEPTION 'element % of the batch names no room', array_position(rooms, NULL) USING ERRCODE = 'RC003';
    END IF;
END $$;

CREATE OR REPLACE FUNCTION roomclaim.ms(n bigint) RETURNS interval
LANGUAGE sql IMMUTABLE AS $$ SELECT n * interval '1 millisecond' $$;

-- 5 s, doubled for each look in vain, at most the cap.
CREATE OR REPLACE FUNCTION roomclaim.backoff(tries int, cap interval) RETURNS interval
LANGUAGE sql IMMUTABLE AS $$ SELECT least(interval '5 seconds' * 2 ^ least(tries, 20), cap) $$;

-- Partitions of the ledger for this month and the next two. A month whose rows are in call_other already stays there. Somebody
-- reads or writes the ledger at length? Another time then: who waits here holds up every claim.
CREATE OR REPLACE FUNCTION roomclaim.make_partitions() RETURNS void
LANGUAGE plpgsql SET lock_timeout = '100ms' AS $$
DECLARE
    first date;
    name text;
BEGIN
    FOR n IN 0..2 LOOP
        first := (date_trunc('month', now() AT TIME ZONE 'UTC') + make_interval(months => n))::date;
        name := 'call_' || to_char(first, 'YYYYMM');
        CONTINUE WHEN to_regclass('roomclaim.' || name) IS NOT NULL;
        BEGIN
            EXECUTE format('CREATE TABLE roomclaim.%I PARTITION OF roomclaim.call FOR VALUES FROM (%L) TO (%L)', name,
                           first::text || ' 00:00:00+00', (first + interval '1 month')::date::text || ' 00:00:00+00');
        EXCEPTION WHEN check_violation OR duplicate_table OR lock_not_available THEN
            NULL;
        END;
    END LOOP;
END $$;

-- Closes the ledger's lines of the rooms' last claims as lost: their worker's lease is over.
CREATE OR REPLACE FUNCTION roomclaim.close_lost(rooms text[]) RETURNS void
LANGUAGE plpgsql AS $$
BEGIN
    UPDATE roomclaim.call c SET ended_at = clock_timestamp(), outcome = 'lost'
      FROM unnest(rooms) AS p(room)
      JOIN roomclaim.room r ON r.room_sid = ANY (ARRAY[p.room])
     WHERE c.id = ANY (ARRAY[r.call_id]) AND c.started_at = r.call_at AND c.ended_at IS NULL;
END $$;

-- Did the provider answer another room well since this room's previous call? Only then do calls that failed speak against the
-- room; else an outage's probes would park it.
CREATE OR REPLACE FUNCTION roomclaim.provider_was_well(room text, since timestamptz) RETURNS boolean
LANGUAGE plpgsql STABLE AS $$
BEGIN
    RETURN EXISTS (SELECT 1 FROM roomclaim.call c
                    WHERE c.outcome = 'ok' AND c.ended_at > since AND c.room_sid <> room);
END $$;

-- Is an error that row's own fault, raised by its data or by a trigger of the application? Else it is the database's or the
-- operator's, and everything waits. A class that Postgres does not know is somebody's own code.
CREATE OR REPLACE FUNCTION roomclaim.is_rows_fault(code text) RETURNS boolean
LANGUAGE sql IMMUTABLE AS $$
    SELECT code !~ '^(0.|08|20|2[4-8BDF]|34|38|39|3[BDF]|40|42|44|53|55|57|58|72|F0|HV|XX|RC)'
$$;

-- Gives the rooms' rows, now processing, the status that was decided. What is locked by somebody, or refused by a trigger or a
-- CHECK of the application, is left: such rooms get row_pending, and the row follows by the sweep. Returns the rooms whose
-- row needs nothing more. The rooms' own rows must be locked. All at once where that does it; else one by one: a row refuses, is
-- not processing any more, or is under another sid by now.
CREATE OR REPLACE FUNCTION roomclaim.give_rows_back(rooms text[], ids text[], new_status text) RETURNS text[]
LANGUAGE plpgsql AS $$
DECLARE
    locked boolean[];
    settled text[];
    moved int;
BEGIN
    locked := roomclaim.application_lock(rooms);
    BEGIN
        IF true = ALL (locked) THEN
            SELECT count(*) INTO moved
              FROM roomclaim.application_move(rooms, ids, array_fill('processing'::text, ARRAY[cardinality(rooms)]), new_status);
            IF moved = cardinality(rooms) THEN
                RETURN rooms;
            END IF;
        END IF;
    EXCEPTION WHEN OTHERS OR assert_failure THEN
        IF NOT roomclaim.is_rows_fault(SQLSTATE) THEN
            RAISE;
        END IF;
        NULL; -- one of them is at fault: one by one
    END;
    settled := '{}';
    FOR n IN 1..cardinality(rooms) LOOP
        BEGIN
            IF roomclaim.give_row_back(rooms[n], ids[n], locked[n], new_status) THEN
                settled := settled || rooms[n];
            END IF;
        EXCEPTION WHEN OTHERS OR assert_failure THEN
            IF NOT roomclaim.is_rows_fault(SQLSTATE) THEN
                RAISE;
            END IF;
            NULL; -- refused: the sweep tries again
        END;
    END LOOP;
    RETURN settled;
END $$;

-- One of them. A row that can't be found by the sid may still be there under its key; or be another room's by now, which has
-- claimed it.
CREATE OR REPLACE FUNCTION roomclaim.give_row_back(room text, row_id text, locked boolean, new_status text) RETURNS boolean
LANGUAGE plpgsql AS $$
DECLARE
    seen record;
    moved_to text;
BEGIN
    SELECT * INTO seen FROM roomclaim.application_read(ARRAY[room], ARRAY[row_id]);
    IF seen.copies = 0 OR seen.id IS DISTINCT FROM row_id THEN
        moved_to := roomclaim.application_room_by_id(row_id);
        RETURN moved_to IS NULL
            OR EXISTS (SELECT 1 FROM roomclaim.room r
                        WHERE r.room_sid = moved_to AND r.feedback_id = row_id AND r.state IN ('processing', 'analysed'))
            OR roomclaim.application_move_by_id(row_id, new_status);
    END IF;
    IF seen.status IS DISTINCT FROM 'processing' THEN
        RETURN true; -- the application has moved it meanwhile
    END IF;
    IF NOT locked THEN
        RETURN false;
    END IF;
    RETURN EXISTS (SELECT 1 FROM roomclaim.application_move(ARRAY[room], ARRAY[row_id], ARRAY['processing'], new_status));
END $$;

-- Lets the application's rows of these rooms follow what was decided (row_pending), as far as they can now. The others are
-- tried again by the sweep, and soon, even if the room itself waits for long: no row of ours stays processing.
CREATE OR REPLACE FUNCTION roomclaim.follow_rows(rooms text[]) RETURNS text[]
LANGUAGE plpgsql AS $$
DECLARE
    at timestamptz := clock_timestamp();
    target text;
    wanted text[];
    ids text[];
    settled text[];
    followed text[] := '{}';
BEGIN
    FOR target, wanted, ids IN
        SELECT r.row_pending, array_agg(p.room ORDER BY p.room), array_agg(r.feedback_id ORDER BY p.room)
          FROM unnest(rooms) AS p(room) JOIN roomclaim.room r ON r.room_sid = ANY (ARRAY[p.room])
         WHERE r.row_pending IS NOT NULL
         GROUP BY r.row_pending
    LOOP
        settled := roomclaim.give_rows_back(wanted, ids, target);
        followed := followed || settled;
    END LOOP;
    UPDATE roomclaim.room r SET row_pending = NULL, row_due_at = NULL,
           due_at = CASE WHEN r.state IN ('done', 'parked', 'expired') AND NOT r.dlq_pending THEN NULL ELSE r.due_at END
     WHERE r.room_sid = ANY (followed) AND r.row_pending IS NOT NULL;
    IF cardinality(followed) < cardinality(rooms) THEN
        UPDATE roomclaim.room r SET
               tries = r.tries + 1,
               row_due_at = at + roomclaim.backoff(r.tries, interval '1 minute'),
               due_at = CASE WHEN r.state IN ('done', 'parked', 'expired') AND NOT r.dlq_pending
                             THEN at + roomclaim.backoff(r.tries, interval '1 minute') ELSE r.due_at END
         WHERE r.room_sid = ANY (rooms) AND r.row_pending IS NOT NULL;
    END IF;
    RETURN followed;
END $$;

-- For rooms whose run has just ended as done without completing a row: a reanalysis, or one whose row is gone. The webhook of a
-- row that the application has reset or made anew meanwhile was answered held. So if the sid has a row now that is not at its
-- end, or is being changed, a new run waits for it; and the row is locked, or a reset could slip in before we commit.
CREATE OR REPLACE FUNCTION roomclaim.reopen_rooms(rooms text[]) RETURNS void
LANGUAGE plpgsql AS $$
DECLARE
    at timestamptz := clock_timestamp();
    ended text[];
    known text[];
    reasons text[];
BEGIN
    SELECT array_agg(r.room_sid ORDER BY r.room_sid), array_agg(r.feedback_id ORDER BY r.room_sid) INTO ended, known
      FROM roomclaim.room r WHERE r.room_sid = ANY (rooms) AND r.state = 'done' AND (r.reanalysis OR r.reason = 'gone');
    IF ended IS NULL THEN
        RETURN;
    END IF;
    reasons := roomclaim.reopen_reasons(ended, known);
    UPDATE roomclaim.room r SET reanalysis = false WHERE r.room_sid = ANY (ended) AND r.reanalysis;
    UPDATE roomclaim.room r SET
           state = 'waiting', reason = p.reason, reason_since = at, due_at = at, origin = 'webhook', priority = 0,
           run = r.run + 1, run_started = at, attempt = 0, calls = 0, tries = 0,
           token = CASE WHEN r.reason = 'reanalysis_failed' THEN r.token END -- a result that is stored is not this run's
      FROM unnest(ended, reasons) AS p(room, reason)
     WHERE r.room_sid = ANY (ARRAY[p.room]) AND p.reason IS NOT NULL;
END $$;

-- Why such rooms wait, or NULL. What can't even be read is for the next claim to say.
CREATE OR REPLACE FUNCTION roomclaim.reopen_reasons(rooms text[], known text[]) RETURNS text[]
LANGUAGE plpgsql AS $$
DECLARE
    locked boolean[] := roomclaim.application_lock(rooms);
BEGIN
    RETURN (SELECT array_agg(CASE WHEN x.copies = 0 THEN NULL
                                  WHEN NOT p.locked THEN 'busy'
                                  WHEN x.status IN ('completed', 'dropped') THEN NULL
                                  WHEN x.status = 'initiated' THEN 'matched'
                                  ELSE 'foreign' END ORDER BY x.i)
              FROM roomclaim.application_read(rooms, known) AS x JOIN unnest(locked) WITH ORDINALITY AS p(locked, i) ON p.i = x.i);
EXCEPTION WHEN OTHERS OR assert_failure THEN
    IF NOT roomclaim.is_rows_fault(SQLSTATE) THEN
        RAISE;
    END IF;
    RETURN array_fill('busy'::text, ARRAY[cardinality(rooms)]);
END $$;

-- Locks the rooms in their order.
CREATE OR REPLACE FUNCTION roomclaim.lock_rooms(rooms text[]) RETURNS void
LANGUAGE plpgsql AS $$
BEGIN
    PERFORM 1 FROM roomclaim.room r WHERE r.room_sid = ANY (rooms) ORDER BY r.room_sid FOR UPDATE;
END $$;

-- How a call ended, for the ledger.
CREATE TYPE roomclaim.call_end AS (
    i int, room text, token uuid, verdict text, error text, model text, prompt_tokens bigint, cached_tokens bigint,
    output_tokens bigint, thinking_tokens bigint, cost_micros bigint);

-- Closes the lines of the rooms' last claims where the token is theirs: once, but for a line that was taken for lost and whose
-- worker has a result after all.
CREATE OR REPLACE FUNCTION roomclaim.close_calls(ends roomclaim.call_end[]) RETURNS void
LANGUAGE plpgsql AS $$
BEGIN
    UPDATE roomclaim.call c SET
           ended_at = clock_timestamp(), outcome = e.verdict, error = e.error, model_answered = e.model,
           prompt_tokens = e.prompt_tokens, cached_tokens = e.cached_tokens, output_tokens = e.output_tokens,
           thinking_tokens = e.thinking_tokens, cost_micros = e.cost_micros
      FROM unnest(ends) AS e
      JOIN roomclaim.room r ON r.room_sid = ANY (ARRAY[e.room]) AND r.token = e.token
     WHERE c.id = ANY (ARRAY[r.call_id]) AND c.started_at = r.call_at AND (c.ended_at IS NULL OR (c.outcome = 'lost' AND e.verdict = 'ok'));
END $$;
