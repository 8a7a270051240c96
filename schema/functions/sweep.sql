-- sweep: what nobody holds and whose time has come. Everything is picked with SKIP LOCKED, so that sweeps of several consumers
-- share the work and wait for nobody. A part that was full says "more".

-- Rooms with a due_at at or before now that fit, by a condition on r. The mark keeps it cheap behind a long transaction: what
-- is below it was seen by an earlier pass, but for the dead tuples that this transaction keeps alive.
CREATE OR REPLACE FUNCTION roomclaim.pick_due(kind text, mark timestamptz, most int) RETURNS text[]
LANGUAGE plpgsql VOLATILE AS $$
DECLARE
    at timestamptz := clock_timestamp();
    picked text[];
BEGIN
    SELECT coalesce(array_agg(d.room_sid ORDER BY d.room_sid), '{}') INTO picked
      FROM (SELECT r.room_sid FROM roomclaim.room r
             WHERE r.due_at >= mark AND r.due_at <= at
               AND CASE kind
                   WHEN 'expire' THEN r.state = 'processing'
                   WHEN 'finish' THEN r.state = 'analysed'
                   WHEN 'follow' THEN r.row_pending IS NOT NULL AND r.state IN ('done', 'parked', 'expired')
                   WHEN 'dlq' THEN r.dlq_pending
                   WHEN 'look' THEN r.state = 'waiting' AND r.reason IN ('unmatched', 'foreign')
                   END
             ORDER BY r.due_at LIMIT most FOR UPDATE SKIP LOCKED) AS d;
    RETURN picked;
END $$;

-- Ends the leases that are over: the row goes back, the room is due at once, or parked when its attempts are used up.
CREATE OR REPLACE FUNCTION roomclaim.sweep_expire(picked text[], policy jsonb) RETURNS void
LANGUAGE plpgsql VOLATILE AS $$
DECLARE
    at timestamptz := clock_timestamp();
    max_attempts int := (policy->>'max_attempts')::int;
BEGIN
    PERFORM roomclaim.close_lost(picked);
    UPDATE roomclaim.room r SET
           state = CASE WHEN r.attempt < max_attempts THEN 'waiting' WHEN r.reanalysis THEN 'done' ELSE 'parked' END,
           reason = CASE WHEN r.attempt < max_attempts THEN 'backoff' WHEN r.reanalysis THEN 'reanalysis_failed' ELSE 'exhausted' END,
           reason_since = at,
           worker = NULL,
           last_error = 'the lease ended without an answer',
           row_pending = CASE WHEN r.reanalysis THEN NULL WHEN r.attempt < max_attempts THEN 'initiated' ELSE policy->>'on_exhausted' END,
           dlq_pending = r.attempt >= max_attempts AND NOT r.reanalysis,
           due_at = CASE WHEN r.attempt < max_attempts OR NOT r.reanalysis THEN at END
     WHERE r.room_sid = ANY (picked);
    PERFORM roomclaim.follow_rows(picked);
END $$;

-- Rooms without a row, or with another handler's: is it their turn now? What has a row now is due for everybody; the others are
-- looked at again later, and a webhook whose row never came expires. Nobody's slot is taken for this.
CREATE OR REPLACE FUNCTION roomclaim.sweep_look(picked text[], policy jsonb) RETURNS text[]
LANGUAGE plpgsql VOLATILE AS $$
DECLARE
    at timestamptz := clock_timestamp();
    ttl interval := roomclaim.ms((policy->>'unmatched_ttl_ms')::bigint);
    adopt_after interval := roomclaim.ms((policy->>'adopt_after_ms')::bigint);
    known text[];
    copies int[];
    statuses text[];
    gone text[];
BEGIN
    SELECT array_agg(r.feedback_id ORDER BY p.i) INTO known
      FROM unnest(picked) WITH ORDINALITY AS p(room, i) JOIN roomclaim.room r ON r.room_sid = p.room;
    SELECT array_agg(x.copies ORDER BY x.i), array_agg(x.status ORDER BY x.i) INTO copies, statuses
      FROM roomclaim.application_read(picked, known) AS x;
    UPDATE roomclaim.room r SET
           state = l.state,
           reason = CASE l.state WHEN 'waiting' THEN CASE WHEN p.copies = 0 THEN 'unmatched' WHEN l.turn THEN r.reason ELSE 'foreign' END END,
           reason_since = CASE WHEN l.state = 'waiting' AND (l.turn OR r.reason = CASE WHEN p.copies = 0 THEN 'unmatched' ELSE 'foreign' END)
                               THEN r.reason_since ELSE at END,
           tries = r.tries + 1,
           due_at = CASE WHEN l.state <> 'waiting' THEN NULL WHEN l.turn THEN at ELSE at + roomclaim.backoff(r.tries, interval '1 hour') END
      FROM unnest(picked, copies, statuses) AS p(room, copies, status)
     CROSS JOIN LATERAL (
           SELECT CASE WHEN p.copies = 0 AND at - x.first_seen >= ttl THEN 'expired'
                       WHEN p.status IN ('completed', 'dropped') THEN 'done'
                       ELSE 'waiting' END AS state,
                  p.copies > 0 AND (p.status = 'initiated' OR p.copies > 1 OR (p.status = 'processing' AND
                      (x.row_pending IS NOT NULL OR (x.reason = 'foreign' AND at - x.reason_since >= adopt_after)))) AS turn
             FROM roomclaim.room x WHERE x.room_sid = p.room) AS l
     WHERE r.room_sid = p.room;
    SELECT coalesce(array_agg(r.room_sid), '{}') INTO gone FROM roomclaim.room r
     WHERE r.room_sid = ANY (picked) AND r.state = 'expired';
    RETURN gone;
END $$;

-- Due rooms for this worker, the most urgent first. They stay its own for 30 s: a claim by it counts as due.
CREATE OR REPLACE FUNCTION roomclaim.sweep_hand_out(worker text, slots int, mark timestamptz) RETURNS text[]
LANGUAGE plpgsql VOLATILE AS $$
DECLARE
    at timestamptz := clock_timestamp();
    handed text[];
BEGIN
    WITH due AS (
        SELECT r.room_sid FROM roomclaim.room r
         WHERE r.due_at >= mark AND r.due_at <= at AND r.state = 'waiting'
         ORDER BY r.priority, r.due_at LIMIT slots FOR UPDATE SKIP LOCKED),
    given AS (
        UPDATE roomclaim.room r SET worker = sweep_hand_out.worker, due_at = at + interval '30 seconds'
          FROM due WHERE r.room_sid = due.room_sid RETURNING r.room_sid)
    SELECT coalesce(array_agg(room_sid), '{}') INTO handed FROM given;
    RETURN handed;
END $$;

CREATE OR REPLACE FUNCTION roomclaim.sweep_v1(worker text, slots int, expire boolean, everything boolean, policy jsonb)
RETURNS TABLE(kind text, room text, origin text, priority int, reason text, event_id text, topic text,
              record_partition int, record_offset bigint, attempt int, run int)
LANGUAGE plpgsql VOLATILE @API@ AS $$
#variable_conflict use_column
DECLARE
    most CONSTANT int := 500; -- rooms a part: a pass stays short, and repeats when it was full
    mark timestamptz := '-infinity';
    expired text[] := '{}';
    finishing text[];
    following text[];
    looking text[];
    vanished text[];
    letters text[];
    handed text[];
BEGIN
    PERFORM roomclaim.require_read_committed();
    IF NOT everything THEN
        SELECT coalesce((SELECT (s.value #>> '{}')::timestamptz FROM roomclaim.setting s WHERE s.name = 'sweep_mark'), mark) INTO mark;
    ELSE
        PERFORM roomclaim.make_partitions();
    END IF;
    IF expire THEN
        expired := roomclaim.pick_due('expire', mark, most);
        --@point sweep_after_expire
        PERFORM roomclaim.sweep_expire(expired, policy);
    END IF;
    finishing := roomclaim.pick_due('finish', mark, most);
    RETURN QUERY SELECT CASE f.outcome WHEN 'busy' THEN 'busy' ELSE 'finished' END, f.room, r.origin, r.priority::int, f.outcome,
                        r.event_id, r.topic, r.record_partition, r.record_offset, r.attempt, r.run
                   FROM roomclaim.finish_rooms(nullif(finishing, '{}'), policy) AS f JOIN roomclaim.room r ON r.room_sid = f.room
                  WHERE f.outcome <> 'busy';
    following := roomclaim.pick_due('follow', mark, most);
    UPDATE roomclaim.room r SET due_at = clock_timestamp() + interval '5 seconds' WHERE r.room_sid = ANY (following);
    following := roomclaim.follow_rows(following);
    looking := roomclaim.pick_due('look', mark, most);
    vanished := roomclaim.sweep_look(looking, policy);
    letters := roomclaim.pick_due('dlq', mark, most);
    UPDATE roomclaim.room r SET due_at = clock_timestamp() + interval '1 minute' WHERE r.room_sid = ANY (letters);
    handed := roomclaim.sweep_hand_out(worker, slots, mark);
    --@point sweep_after_hand_out
    RETURN QUERY
    SELECT CASE WHEN f.kind = 'expired' AND r.state <> 'waiting' THEN 'parked' ELSE f.kind END, r.room_sid, r.origin, r.priority::int,
           coalesce(r.reason, ''), r.event_id, r.topic, r.record_partition, r.record_offset, r.attempt, r.run
      FROM (SELECT 'expired' AS kind, unnest(expired) AS room UNION ALL SELECT 'followed', unnest(following)
            UNION ALL SELECT 'unmatched_expired', unnest(vanished) UNION ALL SELECT 'dlq', unnest(letters)
            UNION ALL SELECT 'due', unnest(handed)) AS f
      JOIN roomclaim.room r ON r.room_sid = f.room
     ORDER BY r.priority, r.due_at;
    IF greatest(cardinality(expired), cardinality(finishing), cardinality(looking), cardinality(letters)) >= most THEN
        RETURN QUERY SELECT 'more', NULL::text, NULL::text, 0, NULL::text, NULL::text, NULL::text, NULL::int, NULL::bigint, 0, 0;
    END IF;
    PERFORM roomclaim.move_sweep_mark(everything);
END $$;

-- After a full pass: nothing below the oldest due room, and nothing that is being written now, is missed by starting there. Two
-- minutes are more than a statement of ours may take.
CREATE OR REPLACE FUNCTION roomclaim.move_sweep_mark(everything boolean) RETURNS void
LANGUAGE plpgsql VOLATILE AS $$
DECLARE
    oldest timestamptz;
BEGIN
    IF NOT everything THEN
        RETURN;
    END IF;
    SELECT min(r.due_at) INTO oldest FROM roomclaim.room r WHERE r.due_at IS NOT NULL;
    INSERT INTO roomclaim.setting (name, value)
    VALUES ('sweep_mark', to_jsonb(least(oldest, clock_timestamp()) - interval '2 minutes'))
    ON CONFLICT (name) DO UPDATE SET value = excluded.value, changed_at = clock_timestamp();
END $$;
