#include "consumer/status.h"

#include "common/text.h"
#include "consumer/meters.h"
#include "consumer/models/provider.h"

#include <inttypes.h>

static const char head[] =
    "<!doctype html><html lang=\"en\"><meta charset=\"utf-8\"><meta http-equiv=\"refresh\" content=\"5\">"
    "<meta name=\"viewport\" content=\"width=device-width\"><title>roomclaim consumer</title><style>"
    "body{font:16px/1.5 system-ui,sans-serif;max-width:60rem;margin:2rem auto;padding:0 "
    "1rem;color:#1b2733;background:#fff}"
    "h1{font-size:1.4rem;margin:0}h2{font-size:1rem;margin:1.6rem 0 .4rem}p{margin:.2rem 0;color:#5b6b7a}"
    ".ok,.bad{display:inline-block;padding:.1rem .6rem;border-radius:1rem;margin:.6rem .4rem 0 0}"
    ".ok{background:#dff3e4;color:#12522a}.bad{background:#fbdcdc;color:#7c1414}"
    "table{border-collapse:collapse;width:100%}td,th{text-align:left;padding:.25rem .6rem;border-bottom:1px solid "
    "#e3e8ee}"
    "td:last-child,th:last-child{text-align:right;font-variant-numeric:tabular-nums}"
    "@media(prefers-color-scheme:dark){body{background:#12181f;color:#dbe4ee}td,th{border-color:#2a3542}"
    ".ok{background:#153d24;color:#b6ecc8}.bad{background:#521717;color:#ffc9c9}}</style>";

static void put_escaped(struct text *page, const char *s)
{
    for (; *s != '\0'; s++) {
        if (*s == '<' || *s == '>' || *s == '&' || *s == '"')
            text_printf(page, "&#%d;", *s);
        else
            text_put(page, s, 1);
    }
}

static void put_chip(struct text *page, bool ok, const char *good, const char *bad)
{
    text_printf(page, "<span class=\"%s\">%s</span>", ok ? "ok" : "bad", ok ? good : bad);
}

static void put_row(struct text *page, const char *name, int64_t value)
{
    text_printf(page, "<tr><td>%s<td>%" PRId64, name, value);
}

static void put_heading(struct text *page, const struct config *config)
{
    text_puts(page, head);
    text_puts(page, "<h1>roomclaim consumer</h1><p>");
    put_escaped(page, config->consumer_instance_id);
    text_puts(page, " &middot; topic ");
    put_escaped(page, config->kafka_topic);
    text_puts(page, " &middot; group ");
    put_escaped(page, config->kafka_group);
    text_puts(page, " &middot; version " ROOMCLAIM_VERSION "</p>");
    put_chip(page, metric_get(M_KAFKA, 0) != 0, "Kafka up", "Kafka away");
    put_chip(page, metric_get(M_DATABASE, 0) != 0, "Postgres up", "Postgres away");
    put_chip(page, metric_get(M_BREAKER, 0) == 0, "model answers", "model fails: breaker open");
    put_chip(page, metric_get(M_STOP_BUTTON, 0) == 0, "not paused", "paused by an operator");
}

static void put_work(struct text *page)
{
    text_puts(page, "<h2>Now</h2><table>");
    put_row(page, "rooms claimed or at the model", metric_get(M_IN_FLIGHT, 0));
    put_row(page, "most at once (consumer.max_in_flight)", metric_get(M_IN_FLIGHT_LIMIT, 0));
    put_row(page, "records read but not yet claimed", metric_get(M_WAITING, 0));
    put_row(page, "duplicates that wait for a room in flight", metric_get(M_FOLLOWERS, 0));
    put_row(page, "seconds since the last sweep", metric_get(M_SWEEP_AGE, 0) / 1000);
    put_row(page, "age of the oldest unfinished room, s", metric_get(M_OLDEST, 0) / 1000);
    text_puts(page, "</table><h2>Rooms in Postgres</h2><table>");
    for (unsigned state = 0; state < ROOM_COUNT; state++)
        put_row(page, room_state_names[state], metric_get(M_ROOMS, state));
    text_puts(page, "</table>");
}

static void put_totals(struct text *page)
{
    const int64_t saved = metric_get(M_SUPPRESSED, GUARD_PARTITION) + metric_get(M_SUPPRESSED, GUARD_RECENT) +
                          metric_get(M_SUPPRESSED, GUARD_CLAIM);
    text_puts(page, "<h2>Since this process started</h2><table>");
    put_row(page, "room_finished records", metric_get(M_RECORDS, RECORD_ROOM_FINISHED));
    put_row(page, "model calls whose result was stored", metric_get(M_CALLS, CALL_OUTCOME_STORED));
    put_row(page, "model calls that failed", metric_get(M_CALLS, CALL_OUTCOME_FAILED));
    put_row(page, "duplicates suppressed = calls saved", saved);
    put_row(page, "&emsp;by the partition's order", metric_get(M_SUPPRESSED, GUARD_PARTITION));
    put_row(page, "&emsp;by what was completed a moment ago", metric_get(M_SUPPRESSED, GUARD_RECENT));
    put_row(page, "&emsp;by the claim", metric_get(M_SUPPRESSED, GUARD_CLAIM));
    text_printf(page, "<tr><td>cost, USD<td>%.6f", (double)metric_get(M_COST, 0) / 1e6);
    text_puts(page, "</table>");
}

static void put_partitions(struct text *page)
{
    text_puts(page, "<h2>Partitions owned</h2><table><tr><th>partition<th>records behind<th>seconds behind");
    for (unsigned id = 0; id < METRIC_INDEX_MAX; id++) {
        if (metric_known(M_LAG_SECONDS, id))
            text_printf(page, "<tr><td>%u<td>%" PRId64 "<td>%.1f", id, metric_get(M_LAG, id),
                        (double)metric_get(M_LAG_SECONDS, id) / 1000);
    }
    text_puts(page, "</table><p><a href=\"/metrics\">all metrics</a></p>");
}

char *status_page(const struct config *config)
{
    struct text page = {0};
    put_heading(&page, config);
    put_work(&page);
    put_totals(&page);
    put_partitions(&page);
    return text_take(&page);
}
