#include "plan.h"

#include "broker.h"
#include "database.h"
#include "link.h"

#include <stdio.h>
#include <stdlib.h>

struct plan plan;

static const unsigned shares[FAULT_COUNT] = {
#define X(id, words, permille) permille,
    FAULT_TABLE(X)
#undef X
};

/* rooms' names */

static const char *const names[ROOMS_MAX] = {"RM_0", "RM_1", "RM_2", "RM_3", "RM_4",  "RM_5",
                                             "RM_6", "RM_7", "RM_8", "RM_9", "RM_10", "RM_11"};

const char *room_name(int room)
{
    return names[room];
}

int room_number_of(struct slice name)
{
    for (int i = 0; i < ROOMS_MAX; i++) {
        if (slice_equal(name, slice_of(names[i])))
            return i;
    }
    return -1;
}

int room_number(const char *name)
{
    return room_number_of(slice_of(name));
}

/* the nemesis */

void plan_no_restarts(void)
{
    plan.no_restarts = true;
}

static void restart_dead(void)
{
    if (plan.no_restarts)
        return;
    for (unsigned i = 0; i < plan.processes; i++) {
        if (!processes[i].alive && (world.healed || world_chance(400)))
            process_start(&processes[i]);
    }
}

static void strike(struct process *p)
{
    if (!p->alive)
        return;
    if (plan_fault(FAULT_CRASH_IDLE, 50))
        process_kill(p);
    else if (p->depth == 0 && !process_asleep(p) && plan_fault(FAULT_STOP_IDLE, 50))
        process_sleep(p, world_between(500, 25000), plan_suspends());
    else if (plan_fault(FAULT_TERMINATE, 40))
        process_terminate(p);
    else if (plan_fault(FAULT_SESSION_LOST, 40))
        broker_leave(p);
    else if (plan_fault(FAULT_REBALANCE, 60))
        broker_rebalance();
}

static void nemesis(void *arg, int64_t number)
{
    (void)arg, (void)number;
    restart_dead();
    for (unsigned i = 0; i < plan.processes && !world.healed; i++)
        strike(&processes[i]);
    world_after(world_between(300, 1500), NULL, nemesis, NULL, 0);
}

static void database_goes(void *arg, int64_t number)
{
    (void)arg, (void)number;
    if (world.healed)
        return;
    cover_fault(FAULT_DATABASE_AWAY);
    link_database_away();
}

/* the plan */

static void window(enum fault fault, int64_t *ret_from_ms, int64_t *ret_to_ms)
{
    *ret_from_ms = *ret_to_ms = 0;
    if (!plan.may[fault])
        return;
    *ret_from_ms = WORLD_START_MS + world_below(20000);
    *ret_to_ms = *ret_from_ms + world_between(500, 30000);
}

void plan_begin(void)
{
    plan = (struct plan){.rooms = 2 + world_below(7),
                         .processes = 1 + world_below(PROCESSES_MAX),
                         .cooperative = world_chance(300),
                         .state_permille = world_chance(500) ? 15 : 40,
                         .max_in_flight = 1 + (int64_t)world_below(6),
                         .guilty_claim = -1,
                         .guilty_store = -1};
    const bool calm = world_chance(60); /* now and then a schedule without any fault */
    for (size_t i = 0; i < FAULT_COUNT; i++)
        plan.may[i] = !calm && world_chance(shares[i]);
    plan.end_ms = WORLD_START_MS + world_between(16000, 45000);
    window(FAULT_MODEL_AWAY, &plan.model_from_ms, &plan.model_to_ms);
    window(FAULT_OPERATOR_FAULT, &plan.key_from_ms, &plan.key_to_ms);
    window(FAULT_DATABASE_AWAY, &plan.database_from_ms, &plan.database_to_ms);
    if (plan.may[FAULT_GUILTY_CLAIM])
        plan.guilty_claim = (int)world_below(plan.rooms);
    if (plan.may[FAULT_GUILTY_STORE])
        plan.guilty_store = (int)world_below(plan.rooms);
    if (plan.may[FAULT_DATABASE_AWAY])
        world_after(plan.database_from_ms - world.now_ms, NULL, database_goes, NULL, 0);
    world_after(500, NULL, nemesis, NULL, 0);
}

bool plan_fault(enum fault fault, unsigned permille)
{
    if (!plan.may[fault] || world.healed || !world_chance(permille))
        return false;
    cover_fault(fault);
    return true;
}

int64_t plan_at_state(const char *name)
{
    (void)name;
    if (plan_fault(FAULT_CRASH_AT_STATE, plan.state_permille))
        return -1;
    if (plan_fault(FAULT_STOP_AT_STATE, plan.state_permille))
        return world_between(50, 20000);
    return 0;
}

bool plan_suspends(void)
{
    return plan_fault(FAULT_SUSPEND, 500);
}

static bool within(int64_t from_ms, int64_t to_ms)
{
    return !world.healed && from_ms <= world.now_ms && world.now_ms < to_ms;
}

bool plan_database_away(void)
{
    return within(plan.database_from_ms, plan.database_to_ms);
}

int64_t plan_database_delay_ms(void)
{
    return plan_fault(FAULT_DATABASE_SLOW, 100) ? world_between(200, 4000) : world_between(0, 8);
}

int plan_guilty_room(enum fault fault)
{
    if (world.healed)
        return -1;
    return fault == FAULT_GUILTY_CLAIM ? plan.guilty_claim : plan.guilty_store;
}

enum call_verdict plan_verdict(void)
{
    static const enum call_verdict away[] = {CALL_SERVER_ERROR, CALL_TIMEOUT,    CALL_CUT,
                                             CALL_RATE_LIMITED, CALL_OVERLOADED, CALL_UNREACHABLE};
    if (within(plan.model_from_ms, plan.model_to_ms)) {
        cover_fault(FAULT_MODEL_AWAY);
        return away[world_below(ARRAY_LEN(away))];
    }
    if (within(plan.key_from_ms, plan.key_to_ms)) {
        cover_fault(FAULT_OPERATOR_FAULT);
        return CALL_OPERATOR;
    }
    if (plan_fault(FAULT_MODEL_FAILS, 350))
        return CALL_BAD_REPLY + world_below(CALL_UNREACHABLE - CALL_BAD_REPLY + 1);
    return CALL_OK;
}

int64_t plan_call_ms(enum call_verdict verdict)
{
    if (verdict == CALL_TIMEOUT)
        return SIM_TIMEOUT_MS;
    if (plan_fault(FAULT_MODEL_SLOW, 400))
        return world_between(1000, SIM_TIMEOUT_MS);
    return world_between(5, 300);
}

/* the configuration */

static char *text(const char *words)
{
    char *copy = world_alloc(strlen(words) + 1);
    return memcpy(copy, words, strlen(words) + 1);
}

static void configure_work(struct config *config)
{
    config->consumer_max_in_flight = plan.max_in_flight;
    config->consumer_max_waiting = 10;
    config->consumer_max_waiting_size_bytes = 1 << 16;
    config->consumer_recent_rooms = 3;
    config->consumer_recent_for_ms = 5000;
    config->consumer_commit_interval_ms = 1000;
    config->consumer_shutdown_grace_ms = 5000;
    config->claim_lease_ms = SIM_LEASE_MS;
    config->claim_margin_ms = SIM_MARGIN_MS;
    config->claim_max_attempts = SIM_MAX_ATTEMPTS;
    config->claim_max_calls = SIM_MAX_CALLS;
    config->sweep_interval_ms = SIM_SWEEP_MS;
    config->breaker_failures = SIM_BREAKER_FAILURES;
    config->breaker_probe_initial_ms = SIM_PROBE_MS;
    config->breaker_probe_max_ms = 6000;
    config->retry_initial_ms = 1000;
    config->retry_max_ms = 8000;
    config->llm_timeout_ms = SIM_TIMEOUT_MS;
}

void plan_config(struct config *config, const char *name)
{
    *config = (struct config){.kafka_topic = text("webhooks"),
                              .kafka_group = text("roomclaim"),
                              .kafka_dead_letter_topic = text("webhooks.dlq"),
                              .database_url = text(""),
                              .consumer_instance_id = text(name),
                              .llm_provider = text("gemini"),
                              .llm_base_url = text(""),
                              .llm_model = text("model"),
                              .llm_prompt_file = text(""),
                              .llm_schema_file = text(""),
                              .llm_prompt_version = text("1"),
                              .llm_thinking = text(""),
                              .llm_price_input = text("1"),
                              .llm_price_cached = text("1"),
                              .llm_price_output = text("1"),
                              .llm_max_input_bytes = 1024,
                              .llm_max_output_tokens = 16};
    configure_work(config);
}

const char *config_dead_letter_topic(const struct config *config)
{
    return config->kafka_dead_letter_topic;
}
