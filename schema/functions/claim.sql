-- claim: who may analyse the room? Answers every element; what must wait is written down first, so that the caller may then
-- settle its offset. glance answers without a lock or a write what is at its end; the rest is locked, decided, written.

-- One element on its way through the claim: what was asked, what the row and the room say, what was decided.
CREATE TYPE roomclaim.claim_case AS (
    i int, room text, token uuid, origin text, event_id text, topic text, record_partition int, record_offset bigint,
    feedback_id text, status text, decision text,
    input text[]); -- of what is won

-- What can be told without a lock: rooms and rows at their end, and live leases. NULL: look closer.
CREATE OR REPLACE FUNCTION roomclaim.claim_glance(rooms text[], tokens uuid[], policy jsonb) RETURNS text[]
LANGUAGE plpgsql VOLATILE AS $$
DECLARE
    at timestamptz := clock_timestamp();
    keep_unmatched boolean := (policy->>'unmatched_ttl_ms')::bigint > 0;
    known text[];
    copies int[];
    statuses text[];
BEGIN
    SELECT array_agg(r.feedback_id ORDER BY p.i) INTO known
      FROM unnest(rooms) WITH ORDINALITY AS p(room, i) LEFT JOIN roomclaim.room r ON r.room_sid = ANY (ARRAY[p.room]);
    SELECT array_agg(x.copies ORDER BY x.i), array_agg(x.status ORDER BY x.i) INTO copies, statuses
      FROM roomclaim.application_read(rooms, known) AS x;
    RETURN (
    SELECT array_agg(CASE
               WHEN r.state = 'parked' THEN CASE WHEN p.copies = 1 AND p.status = 'completed' THEN 'done' ELSE 'parked' END
               WHEN r.state = 'processing' AND r.due_at > at AND r.token <> p.token THEN 'held'
               WHEN r.reanalysis THEN NULL
               WHEN p.copies = 1 AND p.status IN ('completed', 'dropped') AND coalesce(r.state, 'done') IN ('done', 'expired') THEN 'done'
               WHEN p.copies = 0 AND r.state IN ('done', 'expired') THEN 'done'
               WHEN p.copies = 0 AND r.state IS NULL AND NOT keep_unmatched THEN 'unmatched'
               END ORDER BY p.i)
      FROM unnest(rooms, tokens, copies, statuses) WITH ORDINALITY AS p(room, token, copies, status, i)
      LEFT JOIN roomclaim.room r ON r.room_sid = ANY (ARRAY[p.room]));
END $$;

-- Reads rows and rooms as they are under the locks, and decides. A decision is an outcome to answer (again held waiting
-- analysed gone done parked), or names what is to be written: win, new_run, take_over, exhausted, ambiguous, input, empty,
-- unmatched, foreign, busy, end (the row is at its end, so is the room), vanished (a lease is over and the row is gone),
-- failed (a reanalysis that can't be made: the room is done as before).
CREATE OR REPLACE FUNCTION roomclaim.claim_decide(rooms text[], tokens uuid[], origins text[], event_ids text[],
    topics text[], partitions int[], offsets bigint[], locked boolean[], worker text, policy jsonb)
RETURNS roomclaim.claim_case[]
LANGUAGE plpgsql VOLATILE AS $$
DECLARE
    at timestamptz := clock_timestamp();
    max_attempts int := (policy->>'max_attempts')::int;
    input_wait interval := roomclaim.ms((policy->>'input_wait_ms')::bigint);
    adopt_after interval := roomclaim.ms((policy->>'adopt_after_ms')::bigint);
    known text[];
    copies int[];
    ids text[];
    statuses text[];
    readies boolean[];
BEGIN
    SELECT array_agg(r.feedback_id ORDER BY p.i) INTO known
      FROM unnest(rooms) WITH ORDINALITY AS p(room, i) LEFT JOIN roomclaim.room r ON r.room_sid = ANY (ARRAY[p.room]);
    SELECT array_agg(x.copies ORDER BY x.i), array_agg(x.id ORDER BY x.i), array_agg(x.status ORDER BY x.i),
           array_agg(x.ready ORDER BY x.i)
      INTO copies, ids, statuses, readies
      FROM roomclaim.application_read(rooms, known) AS x;
    RETURN (
    SELECT array_agg(ROW(p.i::int, p.room, p.token, p.origin, p.event_id, p.topic, p.record_partition, p.record_offset,
                         CASE WHEN seen.replaced AND r.row_pending IS NOT NULL THEN r.feedback_id ELSE p.id END, p.status,
        CASE
        WHEN r.state = 'parked' THEN CASE WHEN p.copies = 1 AND p.status = 'completed' THEN 'done' ELSE 'parked' END
        -- the same token: the same answer, counted once, as long as the row wants it; one that is closed never wins again
        WHEN r.token = p.token AND r.state = 'processing' AND r.due_at > at THEN
            CASE WHEN p.copies = 1 AND NOT seen.replaced AND (r.reanalysis OR p.status IN ('initiated', 'processing')) THEN 'again'
                 ELSE 'held' END
        WHEN r.token = p.token OR used.up THEN CASE r.state WHEN 'processing' THEN 'held' WHEN 'expired' THEN 'done' ELSE r.state END
        WHEN r.state = 'processing' AND r.due_at > at THEN 'held'
        -- the row that the result belongs to is gone, whatever has its sid now
        WHEN r.state = 'analysed' AND (p.copies = 0 OR seen.replaced) THEN 'gone'
        -- our row is under another sid by now, and could not be given back yet: it is not forgotten for the one that has its sid
        WHEN seen.replaced AND r.row_pending IS NOT NULL THEN
            CASE WHEN r.state = 'processing' THEN 'held' WHEN r.state = 'waiting' AND NOT wait.due THEN 'waiting' ELSE 'busy' END
        -- a reanalysis goes by the room alone
        WHEN r.reanalysis AND r.state = 'analysed' THEN 'analysed'
        WHEN r.reanalysis AND r.state IN ('processing', 'waiting') THEN
            CASE WHEN r.state = 'waiting' AND NOT wait.due THEN 'waiting'
                 WHEN p.copies <> 1 OR NOT p.ready OR (r.state = 'processing' AND r.attempt >= max_attempts) THEN 'failed'
                 WHEN r.state = 'processing' THEN 'take_over'
                 ELSE 'win' END
        -- several rows for the sid, and none of them is known to be meant
        WHEN p.copies > 1 THEN 'ambiguous'
        -- no row
        WHEN p.copies = 0 THEN CASE r.state WHEN 'processing' THEN 'vanished' WHEN 'waiting' THEN 'unmatched' ELSE 'done' END
        -- the result is safe: finish, no call
        WHEN r.state = 'analysed' AND p.status IS DISTINCT FROM 'completed' THEN 'analysed'
        -- the row is at its end
        WHEN p.status IN ('completed', 'dropped') THEN CASE WHEN r.state IN ('done', 'expired') THEN 'done' ELSE 'end' END
        -- a lease that is over
        WHEN r.state = 'processing' AND (p.status = 'initiated' OR (p.status = 'processing' AND NOT seen.replaced)) THEN
            CASE WHEN NOT p.locked THEN 'held' WHEN r.attempt >= max_attempts THEN 'exhausted'
                 WHEN NOT p.ready THEN 'input' ELSE 'take_over' END
        -- to be claimed, when its time has come
        WHEN p.status = 'initiated' OR (p.status = 'processing' AND wait.ours) THEN
            CASE WHEN r.state = 'waiting' AND NOT wait.due THEN 'waiting'
                 WHEN NOT p.locked THEN 'busy'
                 WHEN NOT p.ready THEN CASE WHEN r.reason = 'input' AND at - r.reason_since >= input_wait THEN 'empty' ELSE 'input' END
                 WHEN r.state = 'done' THEN 'new_run'
                 ELSE 'win' END
        -- another handler's
        ELSE 'foreign'
        END, NULL)::roomclaim.claim_case ORDER BY p.i)
      FROM unnest(rooms, tokens, origins, event_ids, topics, partitions, offsets, locked, copies, ids, statuses, readies)
           WITH ORDINALITY AS p(room, token, origin, event_id, topic, record_partition, record_offset, locked,
                                copies, id, status, ready, i)
      JOIN roomclaim.room r ON r.room_sid = ANY (ARRAY[p.room])
     CROSS JOIN LATERAL (SELECT coalesce(p.copies > 0 AND p.id <> r.feedback_id, false) AS replaced) AS seen
     CROSS JOIN LATERAL (
           SELECT coalesce(r.due_at <= at OR r.worker = claim_decide.worker
                           OR (r.reason IN ('new', 'unmatched', 'foreign', 'busy') AND r.worker IS NULL), false) AS due,
                  coalesce(r.state = 'waiting' AND (r.row_pending IS NOT NULL OR r.reason = 'adopt'
                           OR (r.reason = 'foreign' AND at - r.reason_since >= adopt_after)), false) AS ours) AS wait
     CROSS JOIN LATERAL (
           SELECT r.call_id IS NOT NULL AND (
                  SELECT true FROM roomclaim.call c
                   WHERE c.room_sid = p.room AND c.token = p.token AND c.ended_at IS NOT NULL LIMIT 1) IS NOT NULL AS up) AS used);
END $$;

-- The decisions that win are kept only where the conditional update of the application's row really happened; what is won
-- gets its input.
CREATE OR REPLACE FUNCTION roomclaim.claim_take_rows(cases roomclaim.claim_case[]) RETURNS roomclaim.claim_case[]
LANGUAGE plpgsql VOLATILE AS $$
DECLARE
    wanted text[];
    ids text[];
    statuses text[];
    taken text[] := '{}';
    inputs roomclaim.row_input[];
BEGIN
    SELECT array_agg(c.room), array_agg(c.feedback_id), array_agg(c.status) INTO wanted, ids, statuses
      FROM unnest(cases) AS c JOIN roomclaim.room r ON r.room_sid = ANY (ARRAY[c.room])
     WHERE c.decision IN ('win', 'new_run', 'take_over') AND NOT (r.reanalysis AND r.state <> 'done');
    IF wanted IS NOT NULL THEN
        SELECT coalesce(array_agg(moved), '{}') INTO taken
          FROM roomclaim.application_move(wanted, ids, statuses, 'processing') AS moved;
    END IF;
    IF cardinality(taken) < cardinality(wanted) THEN
        cases := (SELECT array_agg(ROW(c.i, c.room, c.token, c.origin, c.event_id, c.topic, c.record_partition, c.record_offset,
                                       c.feedback_id, c.status,
                                       CASE WHEN NOT c.room = ANY (wanted) OR c.room = ANY (taken) THEN c.decision
                                            WHEN c.decision = 'take_over' THEN 'held'
                                            ELSE 'busy' END, NULL)::roomclaim.claim_case ORDER BY c.i)
                    FROM unnest(cases) AS c);
    END IF;
    SELECT roomclaim.application_input(array_agg(c.room ORDER BY c.i), array_agg(
               CASE WHEN c.decision IN ('win', 'new_run', 'take_over', 'again') THEN c.feedback_id END ORDER BY c.i)) INTO inputs
      FROM unnest(cases) AS c;
    RETURN (SELECT array_agg(ROW(c.i, c.room, c.token, c.origin, c.event_id, c.topic, c.record_partition, c.record_offset,
                                 c.feedback_id, c.status, c.decision, inputs[c.i].columns)::roomclaim.claim_case ORDER BY c.i)
              FROM unnest(cases) AS c);
END $$;

-- One statement writes all rooms of the batch. Each branch is a decision of the table in schema/README.md.
CREATE OR REPLACE FUNCTION roomclaim.claim_write_rooms(cases roomclaim.claim_case[], worker text, policy jsonb) RETURNS void
LANGUAGE plpgsql VOLATILE AS $$
#variable_conflict use_column
DECLARE
    at timestamptz := clock_timestamp();
    lease interval := roomclaim.ms((policy->>'lease_ms')::bigint);
    on_exhausted text := policy->>'on_exhausted';
BEGIN
    UPDATE roomclaim.room r SET
        state = w.state,
        reason = w.reason,
        reason_since = CASE WHEN r.reason IS NOT DISTINCT FROM w.reason THEN r.reason_since ELSE at END,
        feedback_id = coalesce(c.feedback_id, r.feedback_id),
        run = r.run + w.fresh::int,
        reanalysis = r.reanalysis AND NOT w.fresh,
        run_started = CASE WHEN w.fresh OR (w.won AND r.calls = 0) THEN at ELSE r.run_started END, -- give_up_after counts from its first call
        attempt = CASE WHEN w.fresh THEN 0 ELSE r.attempt END + w.won::int,
        calls = CASE WHEN w.fresh THEN 0 ELSE r.calls END + w.won::int,
        tries = CASE WHEN w.still THEN r.tries WHEN w.state = 'waiting' AND NOT w.fresh THEN w.tries + 1 ELSE 0 END,
        token = CASE WHEN w.won THEN c.token WHEN w.fresh AND r.state = 'done' THEN NULL ELSE r.token END,
        call_id = CASE WHEN w.won THEN nextval('roomclaim.call_id_seq') ELSE r.call_id END,
        call_at = CASE WHEN w.won THEN at ELSE r.call_at END,
        worker = CASE WHEN w.won THEN claim_write_rooms.worker END,
        due_at = CASE WHEN w.still THEN r.due_at
                      WHEN w.won THEN at + lease
                      WHEN w.state = 'parked' OR c.decision = 'vanished' THEN at
                      WHEN w.reason = 'busy' THEN at + interval '1 second'
                      WHEN w.reason = 'input' THEN at + roomclaim.backoff(w.tries, interval '1 minute')
                      WHEN w.state = 'waiting' THEN at + roomclaim.backoff(w.tries, interval '1 hour') END,
        row_pending = CASE WHEN w.won THEN NULL WHEN c.decision = 'exhausted' THEN on_exhausted
                           WHEN c.decision = 'vanished' OR (c.decision = 'input' AND c.status = 'processing') THEN 'initiated'
                           WHEN w.state = 'parked' OR w.state = 'waiting' THEN r.row_pending END,
        dlq_pending = r.dlq_pending OR w.state = 'parked',
        last_error = CASE WHEN c.decision = 'exhausted' THEN 'the lease of the last attempt ended without an answer' ELSE r.last_error END,
        origin = CASE WHEN r.reason = 'new' OR w.fresh THEN CASE c.origin WHEN 'sweep' THEN r.origin ELSE c.origin END ELSE r.origin END,
        priority = CASE WHEN (r.reason = 'new' OR w.fresh) AND c.origin <> 'sweep' THEN (c.origin <> 'webhook')::int ELSE r.priority END,
        event_id = coalesce(r.event_id, c.event_id),
        topic = coalesce(r.topic, c.topic),
        record_partition = coalesce(r.record_partition, c.record_partition),
        record_offset = coalesce(r.record_offset, c.record_offset)
      FROM unnest(cases) AS c
     CROSS JOIN LATERAL (SELECT c.decision IN ('win', 'new_run', 'take_over') AS won) AS d
     CROSS JOIN LATERAL (
           SELECT d.won,
                  CASE WHEN d.won THEN 'processing'
                       WHEN c.decision IN ('exhausted', 'empty', 'ambiguous') THEN 'parked'
                       WHEN c.decision IN ('end', 'vanished', 'failed') THEN 'done'
                       ELSE 'waiting' END AS state,
                  CASE WHEN d.won OR c.decision = 'end' THEN NULL WHEN c.decision = 'vanished' THEN 'gone'
                       WHEN c.decision = 'failed' THEN 'reanalysis_failed' ELSE c.decision END AS reason) AS s
     CROSS JOIN LATERAL (
           SELECT s.won, s.state, s.reason,
                  CASE WHEN x.reason = s.reason THEN x.tries ELSE 0 END AS tries, -- another reason, another back-off
                  -- recorded over done or expired: a new run, or it would be committed and forgotten
                  c.decision = 'new_run' OR (s.state = 'waiting' AND x.state IN ('done', 'expired')) AS fresh,
                  -- on record, and it is not time to look: duplicates of a webhook don't make it later
                  c.decision IN ('unmatched', 'foreign') AND x.state = 'waiting' AND x.reason = c.decision
                      AND x.due_at > at AND x.worker IS NULL AS still
             FROM roomclaim.room x WHERE x.room_sid = c.room OFFSET 0) AS w
     WHERE r.room_sid = ANY (ARRAY[c.room])
       AND c.decision IN ('win', 'new_run', 'take_over', 'exhausted', 'empty', 'ambiguous', 'end', 'vanished', 'failed',
                          'unmatched', 'foreign', 'busy', 'input');
END $$;

-- The ledger's lines of what was won; the rooms know their numbers already.
CREATE OR REPLACE FUNCTION roomclaim.claim_write_calls(cases roomclaim.claim_case[], worker text, policy jsonb) RETURNS void
LANGUAGE plpgsql VOLATILE AS $$
BEGIN
    INSERT INTO roomclaim.call (id, started_at, room_sid, run, attempt, token, worker, provider, model, prompt_version, input_hash)
    OVERRIDING SYSTEM VALUE
    SELECT DISTINCT ON (c.room) -- one, should the caller name a room twice with the same token
           r.call_id, r.call_at, r.room_sid, r.run, r.attempt, r.token, claim_write_calls.worker, policy->>'provider',
           policy->>'model', policy->>'prompt_version', sha256(convert_to(array_to_string(c.input, chr(31), ''), 'UTF8'))
      FROM unnest(cases) AS c
      JOIN roomclaim.room r ON r.room_sid = ANY (ARRAY[c.room])
     WHERE c.decision IN ('win', 'new_run', 'take_over') AND r.token = c.token
     ORDER BY c.room;
END $$;

-- Rows of ours that are not under their room's sid any more, while another row is: the room may soon be about that one. So ours
-- is given back first, by its key; where that fails the room keeps row_pending, and nothing else is done with it.
CREATE OR REPLACE FUNCTION roomclaim.claim_return_strays(rooms text[]) RETURNS void
LANGUAGE plpgsql VOLATILE AS $$
DECLARE
    ours text[];
    known text[];
    strays text[];
BEGIN
    SELECT array_agg(r.room_sid ORDER BY r.room_sid), array_agg(r.feedback_id ORDER BY r.room_sid) INTO ours, known
      FROM roomclaim.room r
     WHERE r.room_sid = ANY (rooms) AND r.state <> 'parked' AND r.feedback_id IS NOT NULL
       AND (r.row_pending IS NOT NULL OR (r.state = 'processing' AND r.due_at <= clock_timestamp() AND NOT r.reanalysis));
    IF ours IS NULL THEN
        RETURN;
    END IF;
    SELECT array_agg(p.room ORDER BY p.room) INTO strays
      FROM roomclaim.application_read(ours, known) AS x JOIN unnest(ours, known) WITH ORDINALITY AS p(room, id, i) ON p.i = x.i
     WHERE x.copies > 0 AND x.id <> p.id;
    IF strays IS NULL THEN
        RETURN;
    END IF;
    UPDATE roomclaim.room r SET row_pending = 'initiated' WHERE r.room_sid = ANY (strays);
    PERFORM roomclaim.follow_rows(strays);
END $$;

-- The claim of rooms that a glance could not answer. rooms come in their order.
CREATE OR REPLACE FUNCTION roomclaim.claim_locked(rooms text[], tokens uuid[], origins text[], event_ids text[],
    topics text[], partitions int[], offsets bigint[], worker text, policy jsonb)
RETURNS roomclaim.claim_case[]
LANGUAGE plpgsql VOLATILE AS $$
DECLARE
    locked boolean[];
    cases roomclaim.claim_case[];
    over text[];
    there int;
BEGIN
    --@point before_lock
    locked := roomclaim.application_lock(rooms);
    --@point between_locks
    -- A room that is new gets its row first: so there is one to lock. Inserts and locks are taken in the order of the sids. Again
    -- where somebody has deleted rooms in between: nothing may be answered that is not written down.
    LOOP
        INSERT INTO roomclaim.room (room_sid, state, reason, due_at)
        SELECT p.room, 'waiting', 'new', clock_timestamp() FROM unnest(rooms) WITH ORDINALITY AS p(room, i)
         ORDER BY p.i
        ON CONFLICT DO NOTHING;
        --@point after_insert
        PERFORM 1 FROM roomclaim.room r WHERE r.room_sid = ANY (rooms) ORDER BY r.room_sid FOR UPDATE;
        GET DIAGNOSTICS there = ROW_COUNT;
        EXIT WHEN there = (SELECT count(DISTINCT p.room) FROM unnest(rooms) AS p(room));
    END LOOP;
    --@point after_lock
    PERFORM roomclaim.claim_return_strays(rooms);
    cases := roomclaim.claim_decide(rooms, tokens, origins, event_ids, topics, partitions, offsets, locked, worker, policy);
    --@point before_write
    SELECT array_agg(c.room) INTO over
      FROM unnest(cases) AS c JOIN roomclaim.room r ON r.room_sid = ANY (ARRAY[c.room])
     WHERE r.state = 'processing' AND c.decision IN ('take_over', 'exhausted', 'vanished', 'failed', 'end', 'foreign', 'input', 'ambiguous');
    PERFORM roomclaim.close_lost(coalesce(over, '{}'));
    cases := roomclaim.claim_take_rows(cases);
    PERFORM roomclaim.claim_write_rooms(cases, worker, policy);
    PERFORM roomclaim.claim_write_calls(cases, worker, policy);
    PERFORM roomclaim.follow_rows((SELECT array_agg(c.room ORDER BY c.room) FROM unnest(cases) AS c
                                    WHERE c.decision IN ('exhausted', 'vanished', 'input')));
    PERFORM roomclaim.reopen_rooms((SELECT array_agg(c.room) FROM unnest(cases) AS c WHERE c.decision = 'failed'));
    RETURN cases;
END $$;

CREATE OR REPLACE FUNCTION roomclaim.claim_v1(rooms text[], tokens uuid[], origins text[], event_ids text[],
    topics text[], partitions int[], offsets bigint[], worker text, policy jsonb)
RETURNS TABLE(idx int, outcome text, feedback_id text, input text[], run int, attempt int, calls int, origin text, reason text)
LANGUAGE plpgsql VOLATILE @API@ AS $$
#variable_conflict use_column
DECLARE
    glance text[];
    places int[];
    cases roomclaim.claim_case[];
BEGIN
    PERFORM roomclaim.require_rooms(rooms);
    glance := roomclaim.claim_glance(rooms, tokens, policy);
    RETURN QUERY SELECT g.i::int, g.outcome, NULL::text, NULL::text[], NULL::int, NULL::int, NULL::int, NULL::text, NULL::text
                   FROM unnest(glance) WITH ORDINALITY AS g(outcome, i) WHERE g.outcome IS NOT NULL;
    SELECT array_agg(p.i ORDER BY p.room), array_agg(p.room ORDER BY p.room), array_agg(p.token ORDER BY p.room),
           array_agg(p.origin ORDER BY p.room), array_agg(p.event_id ORDER BY p.room), array_agg(p.topic ORDER BY p.room),
           array_agg(p.record_partition ORDER BY p.room), array_agg(p.record_offset ORDER BY p.room)
      INTO places, rooms, tokens, origins, event_ids, topics, partitions, offsets
      FROM unnest(rooms, tokens, origins, event_ids, topics, partitions, offsets, glance)
           WITH ORDINALITY AS p(room, token, origin, event_id, topic, record_partition, record_offset, outcome, i)
     WHERE p.outcome IS NULL;
    IF places IS NULL THEN
        RETURN;
    END IF;
    cases := roomclaim.claim_locked(rooms, tokens, origins, event_ids, topics, partitions, offsets, worker, policy);
    -- A room that the caller named twice is won by the one whose token it has.
    RETURN QUERY
    SELECT places[c.i],
           CASE CASE WHEN r.token <> c.token AND c.decision IN ('win', 'new_run', 'take_over') THEN 'held' ELSE c.decision END
               WHEN 'held' THEN 'held'
               WHEN 'win' THEN 'won' WHEN 'new_run' THEN 'won' WHEN 'take_over' THEN 'won' WHEN 'again' THEN 'won'
               WHEN 'exhausted' THEN 'parked' WHEN 'empty' THEN 'parked' WHEN 'input' THEN 'waiting'
               WHEN 'end' THEN 'done' WHEN 'failed' THEN r.state WHEN 'vanished' THEN 'gone' ELSE c.decision END,
           r.feedback_id, c.input, r.run, r.attempt, r.calls, r.origin,
           CASE WHEN c.decision IN ('exhausted', 'empty', 'ambiguous') THEN c.decision END -- parked by this very claim
      FROM unnest(cases) AS c JOIN roomclaim.room r ON r.room_sid = ANY (ARRAY[c.room]);
END $$;
