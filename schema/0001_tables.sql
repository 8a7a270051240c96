-- The tables of roomclaim, all in a schema of their own: nothing here refers to the application's table by a view or a
-- foreign key, so its own migrations are never in the way.

-- One row a room that was seen. due_at says when somebody must look next: a room that is not at its end, or has something
-- pending, and has none can't be written. So nothing is committed in Kafka and then forgotten.
CREATE TABLE roomclaim.room (
    room_sid         text PRIMARY KEY,
    state            text NOT NULL CHECK (state IN ('waiting', 'processing', 'analysed', 'done', 'parked', 'expired')),
    reason           text,                        -- waiting, parked, done: why
    feedback_id      text,                        -- the row's primary key as text, once it was seen
    run              int NOT NULL DEFAULT 1,      -- an operator or a reset row starts another
    reanalysis       boolean NOT NULL DEFAULT false, -- this run never touches the application's row
    attempt          int NOT NULL DEFAULT 0,      -- counted tries of this run
    calls            int NOT NULL DEFAULT 0,      -- calls of this run that may have been sent
    tries            int NOT NULL DEFAULT 0,      -- looks in vain: for the back-off of unmatched, foreign and input
    token            uuid,                        -- of the last claim; it stays after the end
    call_id          bigint,                      -- the last claim's line in the ledger
    call_at          timestamptz,
    worker           text,
    due_at           timestamptz,
    priority         smallint NOT NULL DEFAULT 0 CHECK (priority BETWEEN 0 AND 2), -- 0 live, 1 retry, 2 replay
    origin           text NOT NULL DEFAULT 'webhook',
    row_pending      text,                        -- the status that the application's row is still to get
    row_due_at       timestamptz,                 -- when that is tried again, whatever the room itself waits for
    dlq_pending      boolean NOT NULL DEFAULT false,
    last_error       text,
    event_id         text,
    topic            text,
    record_partition int,
    record_offset    bigint,
    first_seen       timestamptz NOT NULL DEFAULT clock_timestamp(),
    run_started      timestamptz NOT NULL DEFAULT clock_timestamp(),
    reason_since     timestamptz NOT NULL DEFAULT clock_timestamp(), -- since when reason has been what it is
    -- the part of the sweep that looks: what waits for a row of its own takes no worker's slot
    part             text GENERATED ALWAYS AS (
        CASE WHEN state = 'waiting' AND reason IN ('unmatched', 'foreign') THEN 'rowless' ELSE state END) STORED,
    CONSTRAINT somebody_looks CHECK (
        due_at IS NOT NULL
        OR (state IN ('done', 'parked', 'expired') AND row_pending IS NULL AND NOT dlq_pending))
) WITH (fillfactor = 70, autovacuum_vacuum_scale_factor = 0.02);

-- Each part of the sweep reads one range of these, however much is queued for the others.
CREATE INDEX room_due ON roomclaim.room (part, priority, due_at) WHERE due_at IS NOT NULL;
CREATE INDEX room_row_pending ON roomclaim.room ((least(row_due_at, due_at))) WHERE row_pending IS NOT NULL;
CREATE INDEX room_dlq_pending ON roomclaim.room (due_at) WHERE dlq_pending;
CREATE INDEX room_parked ON roomclaim.room (reason) WHERE state = 'parked';

-- The ledger: one line a model call, written in the claim's transaction, before the call is made.
CREATE TABLE roomclaim.call (
    id              bigint GENERATED ALWAYS AS IDENTITY,
    started_at      timestamptz NOT NULL,
    room_sid        text NOT NULL,
    run             int NOT NULL,
    attempt         int NOT NULL,
    token           uuid NOT NULL,
    worker          text NOT NULL,
    provider        text,
    model           text,                         -- asked for
    model_answered  text,
    prompt_version  text,
    input_hash      bytea,                        -- SHA-256 of the input; erased with the row it came from
    ended_at        timestamptz,
    outcome         text,                         -- the verdict, or stored, or lost
    error           text,
    prompt_tokens   bigint,
    cached_tokens   bigint,
    output_tokens   bigint,
    thinking_tokens bigint,
    cost_micros     bigint,                       -- millionths of a US dollar
    PRIMARY KEY (id, started_at)
) PARTITION BY RANGE (started_at);
CREATE INDEX call_room ON roomclaim.call (room_sid);
CREATE INDEX call_stored ON roomclaim.call (ended_at) WHERE outcome = 'ok';
CREATE TABLE roomclaim.call_other PARTITION OF roomclaim.call DEFAULT; -- so that an insert never fails

-- The results, one a run; one of a room's is current.
CREATE TABLE roomclaim.analysis (
    room_sid       text NOT NULL,
    run            int NOT NULL,
    feedback_id    text,
    current        boolean NOT NULL DEFAULT true,
    model          text,
    prompt_version text,
    result         jsonb NOT NULL,
    created_at     timestamptz NOT NULL DEFAULT clock_timestamp(),
    PRIMARY KEY (room_sid, run)
);

-- Records that could not even be dead-lettered.
CREATE TABLE roomclaim.dead (
    id               bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    topic            text NOT NULL,
    record_partition int NOT NULL,
    record_offset    bigint NOT NULL,
    key              bytea,
    reason           text NOT NULL,
    message          text,
    created_at       timestamptz NOT NULL DEFAULT clock_timestamp(),
    UNIQUE (topic, record_partition, record_offset)
);

-- The stop button ("paused") and what the sweeps remember ("sweep_mark").
CREATE TABLE roomclaim.setting (
    name       text PRIMARY KEY,
    value      jsonb NOT NULL,
    changed_at timestamptz NOT NULL DEFAULT clock_timestamp()
);
