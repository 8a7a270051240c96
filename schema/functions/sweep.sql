-- sweep: what nobody holds and whose time has come. Everything is picked with SKIP LOCKED, so that sweeps of several consumers
-- share the work and wait for nobody. A part that was full says "more".

-- The rooms of one part (a state, or rowless) that are due: the most urgent first, at most so many, in the order of the sids.
-- Each priority is a range of the index. The mark keeps it cheap behind a long transaction: what is below it was seen by an
-- earlier pass, but for the dead tuples that this transaction keeps alive.
CREATE OR REPLACE FUNCTION roomclaim.pick_due(part text, mark timestamptz, most int) RETURNS text[]
LANGUAGE plpgsql VOLATILE AS $$
#variable_conflict use_column
DECLARE
    at timestamptz := clock_timestamp();
    found text[];
    picked text[] := '{}';
BEGIN
    FOR urgency IN 0..2 LOOP
        SELECT array_agg(d.room_sid) INTO found
          FROM (SELECT r.room_sid FROM roomclaim.room r
                 WHERE r.part = pick_due.part AND r.priority = urgency AND r.due_at >= pick_due.mark AND r.due_at <= at
                 ORDER BY r.due_at LIMIT most - cardinality(picked) FOR UPDATE SKIP LOCKED) AS d;
        picked := picked || found;
    END LOOP;
    RETURN (SELECT coalesce(array_agg(p ORDER BY p), '{}') FROM unnest(picked) AS p);
END $$;

-- The rooms whose row is still to follow, and those whose dead letter is to be sent: again in a minute, until it is
-- acknowledged.
CREATE OR REPLACE FUNCTION roomclaim.pick_pending(mark timestamptz, most int, OUT following text[], OUT letters text[])
LANGUAGE plpgsql VOLATILE AS $$
DECLARE
    at timestamptz := clock_timestamp();
BEGIN
    SELECT coalesce(array_agg(d.room_sid ORDER BY d.room_sid), '{}') INTO following
      FROM (SELECT r.room_sid FROM roomclaim.room r
             WHERE r.row_pending IS NOT NULL AND least(r.row_due_at, r.due_at) >= mark AND least(r.row_due_at, r.due_at) <= at
             ORDER BY least(r.row_due_at, r.due_at) LIMIT most FOR UPDATE SKIP LOCKED) AS d;
    SELECT coalesce(array_agg(d.room_sid ORDER BY d.room_sid), '{}') INTO letters
      FROM (SELECT r.room_sid FROM roomclaim.room r
             WHERE r.dlq_pending AND r.due_at >= mark AND r.due_at <= at
             ORDER BY r.due_at LIMIT most FOR UPDATE SKIP LOCKED) AS d;
    UPDATE roomclaim.room r SET due_at = at + interval '1 minute' WHERE r.room_sid = ANY (letters);
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
    PERFORM roomclaim.reopen_rooms(picked);
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
    ids text[];
    statuses text[];
    gone text[];
BEGIN
    SELECT array_agg(r.feedback_id ORDER BY p.i) INTO known
      FROM unnest(picked) WITH ORDINALITY AS p(room, i) JOIN roomclaim.room r ON r.room_sid = ANY (ARRAY[p.room]);
    SELECT array_agg(x.copies ORDER BY x.i), array_agg(x.id ORDER BY x.i), array_agg(x.status ORDER BY x.i)
      INTO copies, ids, statuses
      FROM roomclaim.application_read(picked, known) AS x;
    UPDATE roomclaim.room r SET
           state = l.state,
           reason = l.reason,
           reason_since = CASE WHEN r.reason = l.reason THEN r.reason_since ELSE at END,
           tries = CASE WHEN l.reason IN ('matched', 'adopt') THEN 0 ELSE r.tries + 1 END,
           row_pending = l.row_pending,
           due_at = CASE WHEN l.reason IN ('unmatched', 'foreign') THEN at + roomclaim.backoff(r.tries, interval '1 hour')
                         WHEN l.state = 'waiting' OR l.row_pending IS NOT NULL THEN at END
      FROM unnest(picked, copies, ids, statuses) AS p(room, copies, id, status)
     CROSS JOIN LATERAL (
           SELECT CASE WHEN w.reason IS NOT NULL THEN 'waiting' WHEN p.copies = 0 THEN 'expired' ELSE 'done' END AS state, w.reason,
                  -- nothing is pending for a row that is at its end; but ours may be under another sid by now
                  CASE WHEN w.reason IS NOT NULL OR p.copies = 0 OR p.id <> x.feedback_id THEN x.row_pending END AS row_pending
             FROM roomclaim.room x
            CROSS JOIN LATERAL (SELECT CASE
                       WHEN p.copies = 0 AND (CASE x.reason WHEN 'unmatched' THEN at - x.reason_since ELSE '0' END) >= ttl THEN NULL
                       WHEN p.copies = 0 THEN 'unmatched'
                       WHEN p.copies > 1 OR p.status = 'initiated' THEN 'matched'
                       WHEN p.status IN ('completed', 'dropped') THEN NULL
                       WHEN p.status = 'processing' AND x.row_pending IS NOT NULL THEN 'matched'
                       WHEN p.status = 'processing' AND x.reason = 'foreign' AND at - x.reason_since >= adopt_after THEN 'adopt'
                       ELSE 'foreign' END AS reason) AS w
            WHERE x.room_sid = p.room OFFSET 0) AS l
     WHERE r.room_sid = ANY (ARRAY[p.room]);
    SELECT coalesce(array_agg(r.room_sid), '{}') INTO gone FROM roomclaim.room r
     WHERE r.room_sid = ANY (picked) AND r.state = 'expired';
    RETURN gone;
END $$;

-- Due rooms for this worker, the most urgent first. They stay its own for 30 s: a claim by it counts as due.
CREATE OR REPLACE FUNCTION roomclaim.sweep_hand_out(worker text, slots int, mark timestamptz) RETURNS text[]
LANGUAGE plpgsql VOLATILE AS $$
DECLARE
    handed text[] := roomclaim.pick_due('waiting', mark, greatest(slots, 0));
BEGIN
    UPDATE roomclaim.room r SET worker = sweep_hand_out.worker, due_at = clock_timestamp() + interval '30 seconds'
     WHERE r.room_sid = ANY (handed);
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
        expired := roomclaim.pick_due('processing', mark, most);
        --@point sweep_after_expire
        PERFORM roomclaim.sweep_expire(expired, policy);
    END IF;
    finishing := roomclaim.pick_due('analysed', mark, most);
    RETURN QUERY SELECT CASE f.outcome WHEN 'busy' THEN 'busy' ELSE 'finished' END, f.room, r.origin, r.priority::int, f.outcome,
                        r.event_id, r.topic, r.record_partition, r.record_offset, r.attempt, r.run
                   FROM roomclaim.finish_rooms(nullif(finishing, '{}'), policy) AS f JOIN roomclaim.room r ON r.room_sid = ANY (ARRAY[f.room])
                  WHERE f.outcome <> 'busy';
    SELECT p.following, p.letters INTO following, letters FROM roomclaim.pick_pending(mark, most) AS p;
    following := roomclaim.follow_rows(following);
    looking := roomclaim.pick_due('rowless', mark, most);
    vanished := roomclaim.sweep_look(looking, policy);
    handed := roomclaim.sweep_hand_out(worker, slots, mark);
    --@point sweep_after_hand_out
    RETURN QUERY
    SELECT CASE WHEN f.kind = 'expired' AND r.state = 'parked' THEN 'parked' ELSE f.kind END, r.room_sid, r.origin, r.priority::int,
           coalesce(r.reason, ''), r.event_id, r.topic, r.record_partition, r.record_offset, r.attempt, r.run
      FROM (SELECT 'expired' AS kind, unnest(expired) AS room UNION ALL SELECT 'followed', unnest(following)
            UNION ALL SELECT 'unmatched_expired', unnest(vanished) UNION ALL SELECT 'dlq', unnest(letters)
            UNION ALL SELECT 'due', unnest(handed)) AS f
      JOIN roomclaim.room r ON r.room_sid = ANY (ARRAY[f.room])
     ORDER BY r.priority, r.due_at;
    IF greatest(cardinality(expired), cardinality(finishing), cardinality(following), cardinality(looking),
                cardinality(letters)) >= most THEN
        RETURN QUERY SELECT 'more', NULL::text, NULL::text, 0, NULL::text, NULL::text, NULL::text, NULL::int, NULL::bigint, 0, 0;
    END IF;
    PERFORM roomclaim.move_sweep_mark(mark, everything);
END $$;

-- Nothing below the oldest due room, and nothing that is being written now, is missed by starting there: two minutes are more
-- than a statement of ours may take. What is longer on its way is found by the next full pass. A sweep moves the mark when it
-- is half a minute behind, unless another is just doing that.
CREATE OR REPLACE FUNCTION roomclaim.move_sweep_mark(mark timestamptz, everything boolean) RETURNS void
LANGUAGE plpgsql VOLATILE AS $$
DECLARE
    oldest timestamptz;
BEGIN
    IF mark > clock_timestamp() - interval '150 seconds' THEN
        RETURN;
    END IF;
    SELECT least(min(x.due_at), (SELECT min(least(r.row_due_at, r.due_at)) FROM roomclaim.room r
                                  WHERE r.row_pending IS NOT NULL AND least(r.row_due_at, r.due_at) >= mark)) INTO oldest
      FROM unnest(ARRAY['waiting', 'rowless', 'processing', 'analysed', 'done', 'parked', 'expired']) AS p(part),
           generate_series(0, 2) AS p2(urgency),
           LATERAL (SELECT r.due_at FROM roomclaim.room r
                     WHERE r.part = p.part AND r.priority = p2.urgency AND r.due_at >= mark
                     ORDER BY r.due_at LIMIT 1) AS x;
    INSERT INTO roomclaim.setting (name, value)
    SELECT 'sweep_mark', to_jsonb(mark) WHERE NOT EXISTS (SELECT 1 FROM roomclaim.setting s WHERE s.name = 'sweep_mark')
    ON CONFLICT DO NOTHING;
    UPDATE roomclaim.setting s SET
           value = to_jsonb(least(oldest, clock_timestamp()) - interval '2 minutes'), changed_at = clock_timestamp()
      FROM (SELECT t.name FROM roomclaim.setting t WHERE t.name = 'sweep_mark' FOR UPDATE SKIP LOCKED) AS free
     WHERE s.name = free.name AND (everything OR (s.value #>> '{}')::timestamptz = mark);
END $$;
