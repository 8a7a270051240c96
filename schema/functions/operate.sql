-- enqueue: rooms that an operator or a replay wants worked on; the running consumers find them by the sweep. And what is told
-- about the whole.

CREATE OR REPLACE FUNCTION roomclaim.enqueue_v1(rooms text[], origin text, priority int, delay_ms bigint, policy jsonb)
RETURNS TABLE(idx int, outcome text)
LANGUAGE plpgsql VOLATILE @API@ AS $$
#variable_conflict use_column
DECLARE
    at timestamptz := clock_timestamp();
    sorted text[];
    known text[];
    copies int[];
    ids text[];
    statuses text[];
    outcomes jsonb;
BEGIN
    PERFORM roomclaim.require_rooms(rooms);
    SELECT array_agg(DISTINCT p ORDER BY p) INTO sorted FROM unnest(rooms) AS p;
    -- A room that is new gets its row first, as in a claim: who held its rooms and then made one would wait for a claim that has
    -- made it and waits for them.
    INSERT INTO roomclaim.room (room_sid, state, reason, due_at)
    SELECT sorted[x.i], 'waiting', 'new', at
      FROM roomclaim.application_read(sorted, ARRAY(SELECT NULL::text FROM unnest(sorted))) AS x
     WHERE x.copies = 1 AND coalesce(x.status, '') NOT IN ('completed', 'dropped') AND enqueue_v1.origin <> 'reanalyse'
     ORDER BY x.i
    ON CONFLICT DO NOTHING;
    PERFORM roomclaim.lock_rooms(sorted);
    SELECT array_agg(r.feedback_id ORDER BY p.i) INTO known
      FROM unnest(sorted) WITH ORDINALITY AS p(room, i) LEFT JOIN roomclaim.room r ON r.room_sid = ANY (ARRAY[p.room]);
    SELECT array_agg(x.copies ORDER BY x.i), array_agg(x.id ORDER BY x.i), array_agg(x.status ORDER BY x.i)
      INTO copies, ids, statuses
      FROM roomclaim.application_read(sorted, known) AS x;
    SELECT jsonb_object_agg(p.room, CASE
               WHEN p.copies = 0 THEN 'unmatched'
               WHEN p.copies > 1 THEN 'ambiguous'
               WHEN r.state IN ('processing', 'analysed') THEN 'held'
               WHEN enqueue_v1.origin = 'reanalyse' THEN CASE WHEN r.state = 'done' THEN 'queued' ELSE 'done' END
               WHEN p.status IN ('completed', 'dropped') THEN 'done'
               WHEN r.state IS NULL THEN 'unmatched' -- its row came this very moment
               WHEN r.state = 'parked' AND enqueue_v1.origin NOT IN ('retry', 'redrive') THEN 'parked'
               ELSE 'queued' END) INTO outcomes
      FROM unnest(sorted, copies, statuses) AS p(room, copies, status) LEFT JOIN roomclaim.room r ON r.room_sid = ANY (ARRAY[p.room]);
    UPDATE roomclaim.room r SET
           state = 'waiting', reason = CASE WHEN enqueue_v1.origin IN ('replay', 'retry') THEN enqueue_v1.origin ELSE 'retry' END,
           reason_since = at, feedback_id = coalesce(r.feedback_id, p.id), due_at = at + roomclaim.ms(delay_ms), worker = NULL,
           priority = enqueue_v1.priority, origin = enqueue_v1.origin, tries = 0, dlq_pending = false,
           row_pending = CASE WHEN r.row_pending IS NOT NULL THEN 'initiated' END, -- it was to be dropped? Not any more
           token = CASE WHEN r.state = 'done' THEN NULL ELSE r.token END, -- its result is stored: it is not this run's
           -- from an end a new run starts, with attempts of its own
           run = r.run + (r.state IN ('done', 'parked', 'expired'))::int,
           run_started = CASE WHEN r.state IN ('done', 'parked', 'expired') THEN at ELSE r.run_started END,
           attempt = CASE WHEN r.state IN ('done', 'parked', 'expired') THEN 0 ELSE r.attempt END,
           calls = CASE WHEN r.state IN ('done', 'parked', 'expired') THEN 0 ELSE r.calls END,
           reanalysis = enqueue_v1.origin = 'reanalyse'
      FROM unnest(sorted, ids) AS p(room, id)
     WHERE r.room_sid = ANY (ARRAY[p.room]) AND outcomes->>p.room = 'queued';
    RETURN QUERY SELECT p.i::int, outcomes->>p.room FROM unnest(rooms) WITH ORDINALITY AS p(room, i);
END $$;

CREATE OR REPLACE FUNCTION roomclaim.settings_v1() RETURNS TABLE(name text, value jsonb)
LANGUAGE sql STABLE @API@ AS $$ SELECT s.name, s.value FROM roomclaim.setting s $$;

-- The stop button: while it is pressed no consumer starts a model call; each sees it within a sweep.
CREATE OR REPLACE FUNCTION roomclaim.pause_v1(paused boolean) RETURNS void
LANGUAGE plpgsql VOLATILE @API@ AS $$
BEGIN
    INSERT INTO roomclaim.setting (name, value) VALUES ('paused', to_jsonb(paused))
    ON CONFLICT (name) DO UPDATE SET value = excluded.value, changed_at = clock_timestamp();
END $$;

-- Rooms by state and reason. What is not at its end, or parked, is counted by its index. Done and expired rooms are counted in
-- 8 MB of the table and scaled up: to the unit while the table is not larger, which are some 20,000 rooms, and some per cent off
-- beyond, at the same cost and without any ANALYZE. The pages are always the same, so the number does not jump about.
CREATE OR REPLACE FUNCTION roomclaim.summary_v1() RETURNS TABLE(state text, reason text, rooms bigint, oldest timestamptz)
LANGUAGE sql STABLE @API@ AS $$
    WITH share AS (SELECT least(1, 8388608.0 / greatest(pg_relation_size('roomclaim.room'), 1)) AS seen)
    SELECT r.state, r.reason, count(*), min(r.first_seen) FROM roomclaim.room r
     WHERE r.due_at IS NOT NULL AND r.state IN ('waiting', 'processing', 'analysed') GROUP BY 1, 2
    UNION ALL
    SELECT r.state, r.reason, count(*), min(r.reason_since) FROM roomclaim.room r WHERE r.state = 'parked' GROUP BY 1, 2
    UNION ALL
    SELECT r.state, NULL, (count(*) / (SELECT s.seen FROM share s))::bigint, NULL
      FROM roomclaim.room r TABLESAMPLE SYSTEM ((SELECT 100 * s.seen FROM share s)) REPEATABLE (0)
     WHERE r.state IN ('done', 'expired') GROUP BY 1
$$;

CREATE OR REPLACE FUNCTION roomclaim.version_v1() RETURNS TABLE(migration int, bound text)
LANGUAGE sql STABLE @API@ AS $$ SELECT coalesce(max(m.number), 0), '@BOUND@'::text FROM roomclaim.migration m $$;
