-- release: the room goes back, to be tried again. park: it is set aside for an operator. Both succeed on our own tables
-- whatever the application does to its row; that one follows when it can.

CREATE OR REPLACE FUNCTION roomclaim.release_v1(rooms text[], tokens uuid[], counted boolean[], delays_ms bigint[], verdicts text[],
    errors text[], models text[], prompt_tokens bigint[], cached_tokens bigint[], output_tokens bigint[], thinking_tokens bigint[],
    cost_micros bigint[], policy jsonb)
RETURNS TABLE(idx int, outcome text, attempt int, reason text)
LANGUAGE plpgsql VOLATILE @API@ AS $$
#variable_conflict use_column
DECLARE
    at timestamptz := clock_timestamp();
    max_attempts int := (policy->>'max_attempts')::int;
    max_calls int := (policy->>'max_calls')::int;
    give_up_after interval := roomclaim.ms((policy->>'give_up_after_ms')::bigint);
    ours text[];
BEGIN
    PERFORM roomclaim.require_rooms(rooms);
    PERFORM roomclaim.lock_rooms(rooms);
    --@point release_after_lock
    SELECT coalesce(array_agg(p.room ORDER BY p.room), '{}') INTO ours
      FROM unnest(rooms, tokens) AS p(room, token) JOIN roomclaim.room r ON r.room_sid = ANY (ARRAY[p.room])
     WHERE r.token = p.token AND r.state = 'processing';
    PERFORM roomclaim.close_calls((
        SELECT array_agg(ROW(p.i, p.room, p.token, p.verdict, p.error, p.model, p.pt, p.ct, p.ot, p.tt, p.cost)::roomclaim.call_end)
          FROM unnest(rooms, tokens, verdicts, errors, models, prompt_tokens, cached_tokens, output_tokens, thinking_tokens, cost_micros)
               WITH ORDINALITY AS p(room, token, verdict, error, model, pt, ct, ot, tt, cost, i)));
    UPDATE roomclaim.room r SET
           state = CASE WHEN e.ending IS NULL THEN 'waiting' WHEN r.reanalysis THEN 'done' ELSE 'parked' END,
           reason = CASE WHEN e.ending IS NULL THEN 'backoff' WHEN r.reanalysis THEN 'reanalysis_failed' ELSE e.ending END,
           reason_since = at,
           attempt = r.attempt - (NOT p.counted)::int,
           calls = r.calls - (p.verdict = 'not_sent')::int,
           worker = NULL,
           last_error = p.error,
           row_pending = CASE WHEN r.reanalysis THEN NULL WHEN e.ending IS NULL THEN 'initiated' ELSE policy->>'on_exhausted' END,
           dlq_pending = e.ending IS NOT NULL AND NOT r.reanalysis,
           due_at = CASE WHEN e.ending IS NULL THEN at + roomclaim.ms(p.delay_ms) WHEN NOT r.reanalysis THEN at + interval '1 minute' END
      FROM unnest(rooms, tokens, counted, delays_ms, verdicts, errors) AS p(room, token, counted, delay_ms, verdict, error)
     CROSS JOIN LATERAL (
           SELECT CASE WHEN p.counted AND x.attempt >= max_attempts THEN 'exhausted'
                       WHEN p.verdict <> 'not_sent' AND (x.calls >= max_calls OR at - x.run_started >= give_up_after)
                            AND roomclaim.provider_was_well(p.room, coalesce(
                                (SELECT max(c.started_at) FROM roomclaim.call c WHERE c.room_sid = p.room AND c.run = x.run AND c.id <> x.call_id),
                                x.run_started))
                       THEN 'provider' END AS ending
             FROM roomclaim.room x WHERE x.room_sid = p.room OFFSET 0) AS e
     WHERE r.room_sid = ANY (ARRAY[p.room]) AND p.room = ANY (ours);
    PERFORM roomclaim.follow_rows(ours);
    PERFORM roomclaim.reopen_rooms(ours);
    RETURN QUERY
    SELECT p.i::int,
           CASE WHEN r.token IS DISTINCT FROM p.token THEN 'fenced'
                WHEN r.state = 'waiting' THEN 'released'
                WHEN r.state = 'parked' THEN 'parked'
                WHEN r.state = 'done' AND r.reason = 'reanalysis_failed' THEN 'released'
                ELSE 'fenced' END,
           r.attempt, r.reason
      FROM unnest(rooms, tokens) WITH ORDINALITY AS p(room, token, i) LEFT JOIN roomclaim.room r ON r.room_sid = ANY (ARRAY[p.room]);
END $$;

-- A token NULL parks a room that was never claimed, because the claim itself is what fails: only one that waits, is new, or is at its end (then it is a new run that is parked).
CREATE OR REPLACE FUNCTION roomclaim.park_v1(rooms text[], tokens uuid[], reasons text[], errors text[], verdicts text[], models text[],
    prompt_tokens bigint[], cached_tokens bigint[], output_tokens bigint[], thinking_tokens bigint[], cost_micros bigint[],
    event_ids text[], topics text[], partitions int[], offsets bigint[], policy jsonb)
RETURNS TABLE(idx int, outcome text)
LANGUAGE plpgsql VOLATILE @API@ AS $$
DECLARE
    at timestamptz := clock_timestamp();
    ours text[];
BEGIN
    PERFORM roomclaim.require_rooms(rooms);
    INSERT INTO roomclaim.room (room_sid, state, reason, due_at, event_id, topic, record_partition, record_offset)
    SELECT p.room, 'waiting', 'new', at, p.event_id, p.topic, p.record_partition, p.record_offset
      FROM unnest(rooms, tokens, event_ids, topics, partitions, offsets) AS p(room, token, event_id, topic, record_partition, record_offset)
     WHERE p.token IS NULL
     ORDER BY p.room
    ON CONFLICT DO NOTHING;
    PERFORM roomclaim.lock_rooms(rooms);
    --@point park_after_lock
    SELECT coalesce(array_agg(p.room ORDER BY p.room), '{}') INTO ours
      FROM unnest(rooms, tokens) AS p(room, token) JOIN roomclaim.room r ON r.room_sid = ANY (ARRAY[p.room])
     WHERE CASE WHEN p.token IS NULL THEN r.state IN ('waiting', 'done', 'expired') ELSE r.token = p.token AND r.state IN ('processing', 'analysed') END;
    PERFORM roomclaim.close_calls((
        SELECT array_agg(ROW(p.i, p.room, p.token, p.verdict, p.error, p.model, p.pt, p.ct, p.ot, p.tt, p.cost)::roomclaim.call_end)
          FROM unnest(rooms, tokens, verdicts, errors, models, prompt_tokens, cached_tokens, output_tokens, thinking_tokens, cost_micros)
               WITH ORDINALITY AS p(room, token, verdict, error, model, pt, ct, ot, tt, cost, i)
         WHERE p.token IS NOT NULL AND p.room = ANY (ours)));
    UPDATE roomclaim.room r SET
           state = CASE WHEN e.reanalysis THEN 'done' ELSE 'parked' END,
           reason = CASE WHEN e.reanalysis THEN 'reanalysis_failed' ELSE p.reason END,
           run = r.run + (r.state IN ('done', 'expired'))::int,
           reason_since = at,
           worker = NULL,
           last_error = p.error,
           row_pending = CASE WHEN e.reanalysis THEN NULL WHEN p.token IS NULL THEN r.row_pending ELSE policy->>'on_exhausted' END,
           dlq_pending = NOT e.reanalysis,
           due_at = CASE WHEN NOT e.reanalysis THEN at + interval '1 minute' END
      FROM unnest(rooms, tokens, reasons, errors) AS p(room, token, reason, error)
     CROSS JOIN LATERAL (
           SELECT x.reanalysis AND x.state NOT IN ('done', 'expired') AS reanalysis -- one that is under way
             FROM roomclaim.room x WHERE x.room_sid = p.room OFFSET 0) AS e
     WHERE r.room_sid = ANY (ARRAY[p.room]) AND p.room = ANY (ours);
    PERFORM roomclaim.follow_rows(ours);
    PERFORM roomclaim.reopen_rooms(ours);
    RETURN QUERY
    SELECT p.i::int,
           CASE WHEN r.state = 'parked' AND (p.token IS NULL OR r.token = p.token) THEN 'parked' ELSE 'fenced' END
      FROM unnest(rooms, tokens) WITH ORDINALITY AS p(room, token, i) LEFT JOIN roomclaim.room r ON r.room_sid = ANY (ARRAY[p.room]);
END $$;

-- The dead letters of these rooms are acknowledged by Kafka.
CREATE OR REPLACE FUNCTION roomclaim.dlq_acked_v1(rooms text[]) RETURNS int
LANGUAGE plpgsql VOLATILE @API@ AS $$
DECLARE
    cleared int;
BEGIN
    PERFORM roomclaim.require_rooms(rooms);
    PERFORM roomclaim.lock_rooms(rooms);
    UPDATE roomclaim.room r SET dlq_pending = false,
           due_at = CASE WHEN r.state IN ('done', 'parked', 'expired') AND r.row_pending IS NULL THEN NULL ELSE r.due_at END
     WHERE r.room_sid = ANY (rooms) AND r.dlq_pending;
    GET DIAGNOSTICS cleared = ROW_COUNT;
    RETURN cleared;
END $$;

CREATE OR REPLACE FUNCTION roomclaim.dead_put_v1(topic text, record_partition int, record_offset bigint, key bytea, reason text, message text)
RETURNS void
LANGUAGE plpgsql VOLATILE @API@ AS $$
BEGIN
    INSERT INTO roomclaim.dead (topic, record_partition, record_offset, key, reason, message)
    VALUES ($1, $2, $3, $4, $5, $6) ON CONFLICT DO NOTHING;
END $$;
