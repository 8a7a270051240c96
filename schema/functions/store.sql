-- store: the paid result becomes safe, in our own tables only. finish: it is shown in the application's row.

-- Late but not stolen is good work: what counts is the token, not the lease. The same again answers the same.
CREATE OR REPLACE FUNCTION roomclaim.store_v1(rooms text[], tokens uuid[], results text[], verdicts text[], models text[],
    prompt_tokens bigint[], cached_tokens bigint[], output_tokens bigint[], thinking_tokens bigint[], cost_micros bigint[],
    policy jsonb)
RETURNS TABLE(idx int, outcome text)
LANGUAGE plpgsql VOLATILE @API@ AS $$
DECLARE
    fresh text[];
BEGIN
    PERFORM roomclaim.require_rooms(rooms);
    PERFORM roomclaim.lock_rooms(rooms);
    --@point store_after_lock
    -- What the worker itself gave back or parked is closed; what a sweep took for lost is not stolen yet.
    SELECT coalesce(array_agg(r.room_sid), '{}') INTO fresh
      FROM unnest(rooms, tokens, verdicts) AS p(room, token, verdict) JOIN roomclaim.room r ON r.room_sid = ANY (ARRAY[p.room])
     WHERE r.token = p.token AND (r.state = 'processing' OR (r.state = 'waiting' AND coalesce(
           (SELECT c.outcome FROM roomclaim.call c WHERE c.id = r.call_id AND c.started_at = r.call_at), 'lost') IN ('lost', p.verdict)));
    PERFORM roomclaim.close_calls((
        SELECT array_agg(ROW(p.i, p.room, p.token, p.verdict, NULL, p.model, p.pt, p.ct, p.ot, p.tt, p.cost)::roomclaim.call_end)
          FROM unnest(rooms, tokens, verdicts, models, prompt_tokens, cached_tokens, output_tokens, thinking_tokens, cost_micros)
               WITH ORDINALITY AS p(room, token, verdict, model, pt, ct, ot, tt, cost, i)));
    -- What another worker's claim was faster than was paid all the same: it goes on record.
    IF cardinality(fresh) < cardinality(rooms) THEN
        UPDATE roomclaim.call c SET ended_at = clock_timestamp(), outcome = p.verdict, model_answered = p.model, prompt_tokens = p.pt,
               cached_tokens = p.ct, output_tokens = p.ot, thinking_tokens = p.tt, cost_micros = p.cost
          FROM unnest(rooms, tokens, verdicts, models, store_v1.prompt_tokens, store_v1.cached_tokens, store_v1.output_tokens,
                      store_v1.thinking_tokens, store_v1.cost_micros) AS p(room, token, verdict, model, pt, ct, ot, tt, cost)
          JOIN roomclaim.room r ON r.room_sid = ANY (ARRAY[p.room])
         WHERE r.token IS DISTINCT FROM p.token AND c.room_sid = ANY (ARRAY[p.room]) AND c.token = p.token AND c.outcome = 'lost';
    END IF;
    UPDATE roomclaim.analysis a SET current = false WHERE a.room_sid = ANY (fresh) AND a.current;
    INSERT INTO roomclaim.analysis (room_sid, run, feedback_id, model, prompt_version, result)
    SELECT DISTINCT ON (p.room) -- one, should the caller name a room twice
           r.room_sid, r.run, r.feedback_id, coalesce(nullif(p.model, ''), policy->>'model'), policy->>'prompt_version', p.result::jsonb
      FROM unnest(rooms, tokens, results, models) AS p(room, token, result, model)
      JOIN roomclaim.room r ON r.room_sid = ANY (ARRAY[p.room])
     WHERE r.token = p.token AND p.room = ANY (fresh)
     ORDER BY p.room
    ON CONFLICT (room_sid, run) DO UPDATE SET result = excluded.result, current = true, model = excluded.model,
                                              created_at = clock_timestamp();
    UPDATE roomclaim.room r SET state = 'analysed', reason = NULL, due_at = clock_timestamp(), worker = NULL, row_pending = NULL
     WHERE r.room_sid = ANY (fresh);
    RETURN QUERY
    SELECT p.i::int,
           CASE WHEN r.token = p.token AND (r.state = 'analysed' OR (r.state = 'done' AND (coalesce(r.reason, '') IN ('dropped', 'gone')
                         OR (SELECT true FROM roomclaim.analysis a WHERE a.room_sid = p.room AND a.run = r.run) IS NOT NULL)))
                THEN 'stored'
                -- the run that it was the result of has ended, and another one waits
                WHEN r.token IS NULL AND (SELECT true FROM roomclaim.call c
                                           WHERE c.room_sid = p.room AND c.token = p.token AND c.outcome = 'ok' LIMIT 1) IS NOT NULL THEN 'stored'
                ELSE 'fenced' END
      FROM unnest(rooms, tokens) WITH ORDINALITY AS p(room, token, i) LEFT JOIN roomclaim.room r ON r.room_sid = ANY (ARRAY[p.room]);
END $$;

-- What finish found out about a room: completed, dropped (nobody wants the result: it is deleted, the one before it is current
-- again, the ledger stays), gone (the room's row is not there any more, though another may have its sid: all results are
-- deleted, and the input's hash goes too), busy, refused.
CREATE OR REPLACE FUNCTION roomclaim.finish_rooms(rooms text[], policy jsonb) RETURNS TABLE(room text, outcome text)
LANGUAGE plpgsql VOLATILE AS $$
DECLARE
    at timestamptz := clock_timestamp();
    give_up_after interval := roomclaim.ms((policy->>'give_up_after_ms')::bigint);
    locked boolean[];
    outcomes text[];
    gone text[];
    unwanted text[];
BEGIN
    locked := roomclaim.application_lock(rooms);
    --@point finish_after_rows
    outcomes := roomclaim.finish_rows(rooms, locked);
    -- By arrays, not by a join with them: planned on empty tables, a join reads the whole ledger later.
    SELECT array_agg(p.room) FILTER (WHERE p.outcome = 'gone'), array_agg(p.room) FILTER (WHERE p.outcome IN ('dropped', 'gone'))
      INTO gone, unwanted FROM unnest(rooms, outcomes) AS p(room, outcome);
    IF unwanted IS NOT NULL THEN
        DELETE FROM roomclaim.analysis a
         WHERE a.room_sid = ANY (unwanted)
           AND (a.room_sid = ANY (gone) OR a.run = (SELECT r.run FROM roomclaim.room r WHERE r.room_sid = a.room_sid));
        UPDATE roomclaim.analysis a SET current = true
         WHERE a.room_sid = ANY (unwanted)
           AND a.run = (SELECT max(b.run) FROM roomclaim.analysis b WHERE b.room_sid = a.room_sid);
    END IF;
    IF gone IS NOT NULL THEN
        UPDATE roomclaim.call c SET input_hash = NULL WHERE c.room_sid = ANY (gone);
    END IF;
    UPDATE roomclaim.room r SET
           state = f.state,
           reason = f.reason,
           reason_since = CASE WHEN r.reason IS NOT DISTINCT FROM f.reason THEN r.reason_since ELSE at END,
           tries = r.tries + 1,
           dlq_pending = f.state = 'parked',
           row_pending = CASE WHEN r.reanalysis THEN NULL WHEN p.outcome = 'gone' THEN 'initiated'
                              WHEN f.state = 'parked' THEN policy->>'on_exhausted' END,
           due_at = CASE WHEN f.state = 'analysed' THEN at + roomclaim.backoff(r.tries - 2, interval '1 minute')
                         WHEN f.state = 'parked' OR (p.outcome = 'gone' AND NOT r.reanalysis) THEN at END
      FROM unnest(rooms, outcomes) AS p(room, outcome)
     CROSS JOIN LATERAL (
           SELECT CASE WHEN p.outcome IN ('completed', 'dropped', 'gone') THEN 'done'
                       WHEN p.outcome = 'refused' AND x.reason = 'refused' AND at - x.reason_since > give_up_after THEN 'parked'
                       ELSE 'analysed' END AS state,
                  -- busy meanwhile does not make a refusal young again
                  CASE WHEN p.outcome = 'busy' AND x.reason = 'refused' THEN 'refused'
                       WHEN p.outcome <> 'completed' THEN p.outcome END AS reason
             FROM roomclaim.room x WHERE x.room_sid = p.room OFFSET 0) AS f
     WHERE r.room_sid = ANY (ARRAY[p.room]);
    PERFORM roomclaim.follow_rows((SELECT array_agg(p.room ORDER BY p.room) FROM unnest(rooms, outcomes) AS p(room, outcome)
                                    WHERE p.outcome IN ('gone', 'refused')));
    PERFORM roomclaim.reopen_rooms(rooms);
    RETURN QUERY SELECT p.room, p.outcome FROM unnest(rooms, outcomes) AS p(room, outcome);
END $$;

-- Completes the rows that can be completed. A batch in which the application's trigger or CHECK refuses one is done one by
-- one, so that the others are not held up.
CREATE OR REPLACE FUNCTION roomclaim.finish_rows(rooms text[], locked boolean[]) RETURNS text[]
LANGUAGE plpgsql VOLATILE AS $$
DECLARE
    outcomes text[];
BEGIN
    RETURN roomclaim.finish_rows_at_once(rooms, locked);
EXCEPTION WHEN OTHERS OR assert_failure THEN
    IF NOT roomclaim.is_rows_fault(SQLSTATE) THEN
        RAISE;
    END IF;
    IF cardinality(rooms) = 1 THEN
        RETURN ARRAY['refused'];
    END IF;
    FOR n IN 1..cardinality(rooms) LOOP
        outcomes := outcomes || roomclaim.finish_rows(rooms[n:n], locked[n:n]);
    END LOOP;
    RETURN outcomes;
END $$;

CREATE OR REPLACE FUNCTION roomclaim.finish_rows_at_once(rooms text[], locked boolean[]) RETURNS text[]
LANGUAGE plpgsql VOLATILE AS $$
DECLARE
    known text[];
    copies int[];
    ids text[];
    statuses text[];
    plans text[];
    done_rooms text[];
BEGIN
    SELECT array_agg(r.feedback_id ORDER BY p.i) INTO known
      FROM unnest(rooms) WITH ORDINALITY AS p(room, i) JOIN roomclaim.room r ON r.room_sid = ANY (ARRAY[p.room]);
    SELECT array_agg(x.copies ORDER BY x.i), array_agg(x.id ORDER BY x.i), array_agg(x.status ORDER BY x.i)
      INTO copies, ids, statuses
      FROM roomclaim.application_read(rooms, known) AS x;
    SELECT array_agg(CASE
               -- also when there is another, or several, and the one that was meant isn't among them
               WHEN p.copies <> 1 OR p.id <> r.feedback_id THEN 'gone'
               WHEN r.reanalysis THEN 'completed'
               WHEN p.status IN ('initiated', 'processing') THEN CASE WHEN p.locked THEN 'complete' ELSE 'busy' END
               WHEN p.status = 'completed' THEN 'completed'
               ELSE 'dropped' END ORDER BY p.i) INTO plans
      FROM unnest(rooms, locked, copies, ids, statuses) WITH ORDINALITY AS p(room, locked, copies, id, status, i)
      JOIN roomclaim.room r ON r.room_sid = ANY (ARRAY[p.room]);
    IF 'complete' = ANY (plans) THEN
        SELECT coalesce(array_agg(moved), '{}') INTO done_rooms
          FROM (SELECT array_agg(p.room) AS rooms, array_agg(p.id) AS ids, array_agg(p.status) AS old, array_agg(a.result) AS results
                  FROM unnest(rooms, ids, statuses, plans) AS p(room, id, status, plan)
                  JOIN roomclaim.room r ON r.room_sid = ANY (ARRAY[p.room])
                  LEFT JOIN roomclaim.analysis a ON a.room_sid = ANY (ARRAY[r.room_sid]) AND a.run = r.run
                 WHERE p.plan = 'complete') AS w,
               LATERAL roomclaim.application_complete(w.rooms, w.ids, w.old, w.results) AS moved;
        IF cardinality(done_rooms) <> cardinality(array_positions(plans, 'complete')) THEN
            SELECT array_agg(CASE WHEN p.plan = 'complete' AND NOT p.room = ANY (done_rooms) THEN 'busy' ELSE p.plan END ORDER BY p.i)
              INTO plans FROM unnest(rooms, plans) WITH ORDINALITY AS p(room, plan, i);
        END IF;
    END IF;
    RETURN array_replace(plans, 'complete', 'completed');
END $$;

CREATE OR REPLACE FUNCTION roomclaim.finish_v1(rooms text[], policy jsonb) RETURNS TABLE(idx int, outcome text)
LANGUAGE plpgsql VOLATILE @API@ AS $$
DECLARE
    pending text[];
    finished jsonb;
BEGIN
    PERFORM roomclaim.require_rooms(rooms);
    PERFORM roomclaim.lock_rooms(rooms);
    --@point finish_after_lock
    SELECT array_agg(r.room_sid ORDER BY r.room_sid) INTO pending
      FROM roomclaim.room r WHERE r.room_sid = ANY (rooms) AND r.state = 'analysed';
    SELECT jsonb_object_agg(f.room, f.outcome) INTO finished FROM roomclaim.finish_rooms(pending, policy) AS f WHERE pending IS NOT NULL;
    RETURN QUERY SELECT p.i::int, coalesce(finished->>p.room, 'done') FROM unnest(rooms) WITH ORDINALITY AS p(room, i);
END $$;
