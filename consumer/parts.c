#include "consumer/parts.h"

#include "common/alloc.h"
#include "common/file.h"
#include "common/log.h"
#include "consumer/loop.h"
#include "consumer/meters.h"
#include "consumer/pg.h"
#include "consumer/sweeper.h"

#include <stdlib.h>

enum { PUBLISHER_GRACE_MS = 2000, TEXT_FILE_MAX = 1 << 20 };

/* The file's text, or a copy of what is built in when no file is named. Returns owned, or NULL with *ret_err. */
static char *text_of(const char *path, const char *built_in, struct error *ret_err)
{
    return path[0] ? file_read(path, TEXT_FILE_MAX, NULL, ret_err) : xstrdup(built_in);
}

static void on_reports(uv_poll_t *poll, int status, int events)
{
    (void)status;
    (void)events;
    struct service *service = poll->data;
    publisher_poll(service->publisher, 0);
    service_dispatch(service);
}

static bool read_price(const char *key, const char *text, double *ret_price, struct error *ret_err)
{
    char *end = NULL;
    *ret_price = strtod(text, &end);
    if (end != text && *end == '\0' && *ret_price >= 0 && *ret_price < 1e6)
        return true;
    error_set(ret_err, ERROR_OPERATOR, "%s = \"%s\" is no price: give USD per million tokens, such as 0.30", key, text);
    return false;
}

static bool read_prices(struct service *service, struct error *ret_err)
{
    const struct config *config = service->config;
    return read_price("llm.price_input", config->llm_price_input, &service->price_input, ret_err) &&
           read_price("llm.price_cached", config->llm_price_cached, &service->price_cached, ret_err) &&
           read_price("llm.price_output", config->llm_price_output, &service->price_output, ret_err);
}

/* What the model is told: provider, prompt, schema. */
static bool make_prompt(struct service *service, struct error *ret_err)
{
    const struct config *config = service->config;
    service->provider = provider_find(config->llm_provider);
    if (service->provider == NULL) {
        error_set(ret_err, ERROR_OPERATOR, "llm.provider = \"%s\" is unknown: gemini is what there is",
                  config->llm_provider);
        return false;
    }
    service->base_url = config->llm_base_url[0] ? config->llm_base_url : service->provider->base_url;
    service->instructions = text_of(config->llm_prompt_file, prompt_default_instructions, ret_err);
    char *schema AUTO(free_ptr) = text_of(config->llm_schema_file, prompt_default_schema, ret_err);
    if (service->instructions == NULL || schema == NULL)
        return false;
    service->schema = reply_schema_new(slice_of(schema), ret_err);
    if (service->schema == NULL)
        return false;
    if (config->llm_prompt_version[0])
        snprintf(service->prompt_version, sizeof service->prompt_version, "%s", config->llm_prompt_version);
    else
        prompt_version(service->instructions, reply_schema_json(service->schema), service->prompt_version);
    return read_prices(service, ret_err);
}

/* Everything that talks: Kafka last, for records come as soon as it stands. */
static bool connect_parts(struct service *service, struct error *ret_err, int *ret_exit)
{
    const struct config *config = service->config;
    *ret_exit = EXIT_CONFIG;
    if (!pg_url_readable(config->database_url)) {
        error_set(
            ret_err, ERROR_OPERATOR,
            "database.url: libpq can't read it; write postgresql://user@host:port/database or host=... dbname=...");
        return false;
    }
    service->caller = caller_new(service->loop, config, service->provider, ret_err);
    if (service->caller == NULL)
        return false;
    service->publisher = publisher_new(config, ret_err);
    if (service->publisher == NULL)
        return false;
    loop_must(uv_poll_init(service->loop, &service->reports, publisher_fd(service->publisher)), "delivery reports");
    uv_poll_start(&service->reports, UV_READABLE, on_reports);
    *ret_exit = EXIT_UNAVAILABLE;
    const struct intake_hooks hooks = {.arg = service,
                                       .record = service_on_record,
                                       .assigned = service_on_assigned,
                                       .revoked = service_on_revoked,
                                       .fatal = service_on_fatal,
                                       .closed = service_on_left};
    service->intake = intake_new(service->loop, config, &hooks, ret_err);
    if (service->intake == NULL)
        return false;
    service->store = store_new(service->loop, config, service->prompt_version,
                               &(struct store_hooks){.arg = service, .health = service_on_store_health});
    service->sweeper = sweeper_new(service);
    return true;
}

struct service *service_new(uv_loop_t *loop, const struct config *config, struct error *ret_err, int *ret_exit)
{
    struct service *service = xcalloc(1, sizeof *service);
    service->loop = loop;
    service->config = config;
    service->flights = flights_new();
    service->recent = recent_new((size_t)config->consumer_recent_rooms, config->consumer_recent_for_ms);
    breaker_init(&service->breaker, (unsigned)config->breaker_failures, config->breaker_probe_initial_ms,
                 config->breaker_probe_max_ms);
    for (size_t i = 0; i < WORK_SOURCE_COUNT; i++)
        job_list_init(&service->waiting[i]);
    job_list_init(&service->letters);
    uv_timer_init(loop, &service->tick);
    uv_timer_init(loop, &service->deadline);
    service->tick.data = service->deadline.data = service->reports.data = service;
    metric_set(M_IN_FLIGHT_LIMIT, 0, config->consumer_max_in_flight);
    *ret_exit = EXIT_CONFIG;
    if (make_prompt(service, ret_err) && connect_parts(service, ret_err, ret_exit))
        return service;
    service_free(service);
    return NULL;
}

static void close_handles(struct service *service)
{
    if (service->publisher != NULL)
        uv_close((uv_handle_t *)&service->reports, NULL);
    uv_close((uv_handle_t *)&service->tick, NULL);
    uv_close((uv_handle_t *)&service->deadline, NULL);
}

void service_free(struct service *service)
{
    if (service->sweeper != NULL)
        sweeper_close(service->sweeper);
    if (service->intake != NULL)
        intake_free(service->intake);
    store_close(service->store);
    caller_close(service->caller);
    close_handles(service);
    uv_run(service->loop, UV_RUN_DEFAULT); /* what was closed is released by the loop */
    publisher_free(service->publisher, PUBLISHER_GRACE_MS);
    flights_free(service->flights);
    recent_free(service->recent);
    reply_schema_free(service->schema);
    free(service->instructions);
    free(service);
}
