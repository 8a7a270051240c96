/* What the table's limits cannot say: values of a form of their own, and values that belong together. Each check is
 * one function in a table; the first that fails says why and names what it compared. */
#include "address.h"
#include "alloc.h"
#include "config_list.h"
#include "config_load.h"
#include "config_url.h"
#include "kafka.h"
#include "log.h"

#include <arpa/inet.h>
#include <ctype.h>
#include <stdlib.h>
#include <strings.h>

static bool fail(struct error *ret_err, const char *path, const char *why)
{
    error_set(ret_err, ERROR_OPERATOR, "%s %s", path, why);
    return false;
}

/* ---- words ---- */

static const struct {
    enum config_key_id id;
    const char *words[5]; /* ended by NULL */
} choices[] = {
    {CONFIG_KEY_log_level, {"debug", "info", "warn", "error"}},
    {CONFIG_KEY_log_format, {"logfmt", "json"}},
    {CONFIG_KEY_claim_on_exhausted, {"initiated", "dropped"}},
    {CONFIG_KEY_kafka_assignor, {"auto", "range", "roundrobin", "cooperative-sticky"}},
    {CONFIG_KEY_llm_provider, {"gemini"}},
    {CONFIG_KEY_security_profile, {"standard", "production"}},
};

static const char *string_of(const struct config *config, enum config_key_id id)
{
    const char *text;
    memcpy(&text, (const char *)config + config_keys[id].offset, sizeof text);
    return text;
}

static bool check_choices(const struct config *config, struct error *ret_err)
{
    for (size_t i = 0; i < ARRAY_LEN(choices); i++) {
        const char *given = string_of(config, choices[i].id);
        AUTO(text_free) struct text allowed = {0};
        bool found = false;
        for (const char *const *word = choices[i].words; *word && !found; word++) {
            found = strcmp(*word, given) == 0;
            text_printf(&allowed, "%s%s", allowed.len > 0 ? ", " : "", *word);
        }
        if (found)
            continue;
        error_set(ret_err, ERROR_OPERATOR, "%s is \"%.40s\"; allowed is one of %s", config_keys[choices[i].id].path,
                  given, allowed.ptr);
        return false;
    }
    return true;
}

/* ---- pairs of values ---- */

static bool in_order(const char *low_path, int64_t low_ms, const char *high_path, int64_t high_ms,
                     struct error *ret_err)
{
    if (low_ms <= high_ms)
        return true;
    error_set(ret_err, ERROR_OPERATOR, "%s (%g s) is longer than %s (%g s)", low_path, (double)low_ms / 1e3, high_path,
              (double)high_ms / 1e3);
    return false;
}

/* Past the answer's deadline the spool would never be used. */
static bool check_spool(const struct config *c, struct error *ret_err)
{
    return in_order("shim.spool_after", c->shim_spool_after_ms, "shim.answer_within", c->shim_answer_within_ms,
                    ret_err);
}

static bool check_order(const struct config *c, struct error *ret_err)
{
    return in_order("retry.initial", c->retry_initial_ms, "retry.max", c->retry_max_ms, ret_err) &&
           in_order("breaker.probe_initial", c->breaker_probe_initial_ms, "breaker.probe_max", c->breaker_probe_max_ms,
                    ret_err) &&
           in_order("llm.connect_timeout", c->llm_connect_timeout_ms, "llm.timeout", c->llm_timeout_ms, ret_err);
}

/* A lease that ends during a call would let a second consumer call for the same room. */
static bool check_lease(const struct config *c, struct error *ret_err)
{
    if (c->claim_lease_ms >= c->llm_timeout_ms + c->claim_margin_ms)
        return true;
    error_set(ret_err, ERROR_OPERATOR,
              "claim.lease (%g s) must be at least llm.timeout (%g s) plus claim.margin (%g s)",
              (double)c->claim_lease_ms / 1e3, (double)c->llm_timeout_ms / 1e3, (double)c->claim_margin_ms / 1e3);
    return false;
}

/* ---- addresses ---- */

static bool check_listen(const char *path, const char *text, bool may_be_off, struct error *ret_err)
{
    char host[ADDRESS_HOST_SIZE];
    unsigned port;
    struct error why;
    if ((may_be_off && *text == '\0') || address_split(text, host, &port, &why))
        return true;
    return fail(ret_err, path, why.text);
}

static bool check_shim_listen(const struct config *c, struct error *ret_err)
{
    return check_listen("shim.listen", c->shim_listen, false, ret_err) &&
           check_listen("shim.admin_listen", c->shim_admin_listen, true, ret_err);
}

static bool check_consumer_listen(const struct config *c, struct error *ret_err)
{
    return check_listen("consumer.admin_listen", c->consumer_admin_listen, true, ret_err);
}

/* 169.254.0.0/16 in any spelling that a resolver takes (decimal, hexadecimal, mapped into IPv6), and fe80::/10. */
static bool is_link_local(const char *host)
{
    struct in_addr v4;
    struct in6_addr v6;
    if (inet_aton(host, &v4))
        return (ntohl(v4.s_addr) >> 16) == 0xa9fe;
    if (inet_pton(AF_INET6, host, &v6) != 1)
        return false;
    return IN6_IS_ADDR_LINKLOCAL(&v6) || (IN6_IS_ADDR_V4MAPPED(&v6) && v6.s6_addr[12] == 169 && v6.s6_addr[13] == 254);
}

static bool has_blank_or_control(const char *text)
{
    for (; *text != '\0'; text++) {
        if ((unsigned char)*text <= ' ' || *text == 0x7f || *text == '\\')
            return true;
    }
    return false;
}

/* The host of host, host:port or [v6]:port, without brackets; false when it is malformed. */
static bool read_host(const char *at, size_t len, char ret_host[ADDRESS_HOST_SIZE])
{
    AUTO(free_ptr) char *authority = xmemdup0(at, len);
    const char *bracket = strchr(authority, ']');
    const bool has_port = strchr(bracket ? bracket : authority, ':') != NULL;
    AUTO(free_ptr) char *full = xasprintf("%s%s", authority, has_port ? "" : ":443");
    unsigned port;
    return address_split(full, ret_host, &port, NULL) && port > 0;
}

static bool check_base_url(const struct config *c, struct error *ret_err)
{
    static const char path[] = "llm.base_url";
    const char *url = c->llm_base_url;
    if (*url == '\0')
        return true;
    const bool is_https = strncasecmp(url, "https://", 8) == 0;
    if (!is_https && strncasecmp(url, "http://", 7) != 0)
        return fail(ret_err, path, "must begin with https:// (http:// only to this host's loopback)");
    const char *authority = strstr(url, "//") + 2;
    const size_t len = strcspn(authority, "/?#");
    char host[ADDRESS_HOST_SIZE];
    if (memchr(authority, '@', len))
        return fail(ret_err, path, "must not hold a user name or password; the key belongs into llm.api_key");
    if (has_blank_or_control(url) || strpbrk(authority, "?#"))
        return fail(ret_err, path, "must not hold blanks, a backslash, ? or #");
    if (!read_host(authority, len, host))
        return fail(ret_err, path, "has no host, or a malformed one");
    if (is_link_local(host))
        return fail(ret_err, path, "is a link-local address: no model lives there, but a cloud's credentials do");
    if (!is_https && !address_is_loopback(host))
        return fail(ret_err, path, "is plain http to another host; use https (http only to 127.0.0.1, ::1, localhost)");
    return true;
}

/* ---- Kafka ---- */

static bool check_topic(const char *path, const char *topic, struct error *ret_err)
{
    for (const char *c = topic; *c != '\0'; c++) {
        if (!isalnum((unsigned char)*c) && !strchr("._-", *c))
            return fail(ret_err, path, "is no topic name: letters, digits, dot, underscore and minus are allowed");
    }
    return (strcmp(topic, ".") != 0 && strcmp(topic, "..") != 0) || fail(ret_err, path, "is no topic name");
}

static bool check_kafka(const struct config *c, struct error *ret_err)
{
    for (size_t i = 0; i < c->kafka_properties.count; i++) {
        const char *why = "";
        if (!kafka_property_reserved(c->kafka_properties.items[i].name, &why))
            continue;
        error_set(ret_err, ERROR_OPERATOR, "kafka.properties: %.80s is reserved for correctness: %s",
                  c->kafka_properties.items[i].name, why);
        return false;
    }
    if (strcmp(c->kafka_topic, c->kafka_dead_letter_topic) == 0)
        return fail(ret_err, "kafka.dead_letter_topic", "is the same as kafka.topic");
    return check_topic("kafka.topic", c->kafka_topic, ret_err) &&
           check_topic("kafka.dead_letter_topic", c->kafka_dead_letter_topic, ret_err);
}

/* ---- LiveKit ---- */

static bool check_livekit(const struct config *c, struct error *ret_err)
{
    const bool has_key = *c->livekit_api_key != '\0', has_secret = *c->livekit_api_secret != '\0';
    if (has_key != has_secret)
        return fail(ret_err, has_key ? "livekit.api_secret" : "livekit.api_key",
                    "is missing: LIVEKIT_API_KEY and LIVEKIT_API_SECRET (or LIVEKIT_API_SECRET_FILE) belong together");
    if (!has_key && c->livekit_keys.count == 0)
        return fail(ret_err, "livekit.api_key",
                    "is not set: no webhook could be verified; set LIVEKIT_API_KEY and LIVEKIT_API_SECRET");
    for (size_t i = 0; has_key && i < c->livekit_keys.count; i++) {
        if (strcmp(c->livekit_keys.items[i].name, c->livekit_api_key) == 0)
            return fail(ret_err, "livekit.keys", "repeats livekit.api_key: leave only one");
    }
    return true;
}

static bool check_paths(const struct config *c, struct error *ret_err)
{
    for (size_t i = 0; i < c->shim_paths.count; i++) {
        const char *path = c->shim_paths.items[i];
        if (*path != '/' || strpbrk(path, "?# "))
            return fail(ret_err, "shim.paths", "must each begin with a slash and hold no blank, ? or #");
    }
    return true;
}

/* ---- the application's table ---- */

enum { IDENTIFIER_MAX = 63 };

/* Reads one identifier, quoted with doubled quotes inside or plain up to a dot; returns its length in bytes. */
static size_t identifier_length(const char **at)
{
    size_t len = 0;
    const char *c = *at;
    if (*c != '"') {
        len = strcspn(c, ".\"");
        *at = c + len;
        return len;
    }
    for (c++; *c != '\0' && !(c[0] == '"' && c[1] != '"'); len++)
        c += c[0] == '"' ? 2 : 1;
    *at = *c == '"' ? c + 1 : *at; /* not closed: the caller finds the quote */
    return len;
}

/* schema.table or table, each at most 63 bytes: Postgres would cut a longer one and find another table. */
static bool check_table(const struct config *c, struct error *ret_err)
{
    const char *at = c->database_table;
    size_t parts = 0, len = 0;
    do {
        at += parts > 0;
        len = identifier_length(&at);
        parts++;
    } while (*at == '.' && len > 0 && len <= IDENTIFIER_MAX);
    if (len > IDENTIFIER_MAX)
        return fail(ret_err, "database.table", "has a name longer than 63 bytes");
    if (len == 0 || parts > 2 || *at != '\0')
        return fail(ret_err, "database.table", "must be table or schema.table, quoted like public.\"UserFeedback\"");
    for (size_t i = 0; i < c->database_input_columns.count; i++) {
        if (strlen(c->database_input_columns.items[i]) > IDENTIFIER_MAX)
            return fail(ret_err, "database.input_columns", "has a name longer than 63 bytes");
    }
    return true;
}

/* ---- the model ---- */

static bool check_prices(const struct config *c, struct error *ret_err)
{
    const struct {
        const char *path, *text;
    } prices[] = {{"llm.price_input", c->llm_price_input},
                  {"llm.price_cached", c->llm_price_cached},
                  {"llm.price_output", c->llm_price_output}};
    for (size_t i = 0; i < ARRAY_LEN(prices); i++) {
        const char *at = prices[i].text;
        const size_t whole = strspn(at, "0123456789");
        at += whole;
        const size_t fraction = *at == '.' ? strspn(at + 1, "0123456789") : 0;
        at += fraction > 0 ? fraction + 1 : 0;
        if (*at != '\0' || (whole == 0 && *prices[i].text != '\0'))
            return fail(ret_err, prices[i].path, "is no price: write digits and a point, such as 0.30");
    }
    return true;
}

/* ---- encryption ---- */

/* Whether every broker of host:port,host:port is on this host. */
static bool are_brokers_local(const char *servers)
{
    while (*servers != '\0') {
        const size_t len = strcspn(servers, ",");
        const char *skip = memmem(servers, len, "://", 3);
        const char *start = skip ? skip + 3 : servers + strspn(servers, " ");
        char host[ADDRESS_HOST_SIZE];
        const size_t rest = start < servers + len ? (size_t)(servers + len - start) : 0;
        if (!read_host(start, rest, host) || !address_is_loopback(host))
            return false;
        servers += len + (servers[len] == ',');
    }
    return true;
}

static bool is_kafka_plain(const struct config *c)
{
    for (size_t i = 0; i < c->kafka_properties.count; i++) {
        const struct config_pair *p = &c->kafka_properties.items[i];
        if (strcmp(p->name, "security.protocol") == 0)
            return strcasecmp(p->value, "ssl") != 0 && strcasecmp(p->value, "sasl_ssl") != 0;
    }
    return true;
}

/* From the address, else from libpq's variable; cut at size. */
static void get_database_part(const struct config *c, const char *name, const char *variable, char *ret_text,
                              size_t size)
{
    const struct slice part = config_url_get(c->database_url, name);
    const char *other = getenv(variable);
    const struct slice text = part.len > 0 ? part : slice_of(other);
    const size_t len = MIN(text.len, size - 1);
    if (len > 0)
        memcpy(ret_text, text.ptr, len);
    ret_text[len] = '\0';
}

/* Whether the database is reached over a network without a verified certificate. No host, or one that is a path, is
 * a socket of this host. */
static bool is_database_plain(const struct config *c)
{
    char host[ADDRESS_HOST_SIZE], mode[32];
    get_database_part(c, "host", "PGHOST", host, sizeof host);
    get_database_part(c, "sslmode", "PGSSLMODE", mode, sizeof mode);
    if (*host == '\0' || *host == '/' || *host == '@' || strncmp(host, "%2F", 3) == 0 || address_is_loopback(host))
        return false;
    return strcmp(mode, "verify-full") != 0;
}

static const char *plain_connection(const struct config *c, unsigned program)
{
    if (!are_brokers_local(c->kafka_bootstrap_servers) && is_kafka_plain(c))
        return "kafka.properties: security.protocol is not ssl or sasl_ssl, and a broker is on another host";
    if ((program & CONFIG_CONSUMER) && is_database_plain(c))
        return "database.url: sslmode is not verify-full, and the database is on another host";
    return NULL;
}

static bool check_encryption(const struct config *c, unsigned program, struct error *ret_err)
{
    const char *plain = plain_connection(c, program);
    if (!(program & (CONFIG_SHIM | CONFIG_CONSUMER)) || strcmp(c->security_profile, "production") != 0 || !plain)
        return true;
    error_set(ret_err, ERROR_OPERATOR, "%s; security.profile = production refuses that", plain);
    return false;
}

/* ---- all ---- */

static const struct {
    unsigned programs;
    bool (*check)(const struct config *config, struct error *ret_err);
} checks[] = {
    {CONFIG_SHIM | CONFIG_CONSUMER | CONFIG_TOOL | CONFIG_TOOL_KAFKA, check_choices},
    {CONFIG_SHIM | CONFIG_CONSUMER | CONFIG_TOOL_KAFKA, check_kafka},
    {CONFIG_SHIM, check_shim_listen},
    {CONFIG_SHIM, check_paths},
    {CONFIG_SHIM, check_spool},
    {CONFIG_SHIM, check_livekit},
    {CONFIG_CONSUMER, check_consumer_listen},
    {CONFIG_CONSUMER, check_lease},
    {CONFIG_CONSUMER, check_order},
    {CONFIG_CONSUMER, check_base_url},
    {CONFIG_CONSUMER, check_prices},
    {CONFIG_TOOL, check_table},
};

bool config_check(const struct config *config, unsigned program, struct error *ret_err)
{
    for (size_t i = 0; i < ARRAY_LEN(checks); i++) {
        if ((checks[i].programs & program) && !checks[i].check(config, ret_err))
            return false;
    }
    return check_encryption(config, program, ret_err);
}

static void warn_short_secret(const char *key, const char *secret)
{
    enum { HS256_BYTES = 32 };
    if (*secret != '\0' && strlen(secret) < HS256_BYTES)
        log_warn("a LiveKit secret is shorter than 32 bytes; forged webhooks get easier to guess", LOG_STR("key", key));
}

void config_warn(const struct config *config, unsigned program)
{
    if (program & CONFIG_SHIM) {
        warn_short_secret(config->livekit_api_key, config->livekit_api_secret);
        for (size_t i = 0; i < config->livekit_keys.count; i++)
            warn_short_secret(config->livekit_keys.items[i].name, config->livekit_keys.items[i].value);
    }
    const char *plain = plain_connection(config, program);
    if (plain && (program & (CONFIG_SHIM | CONFIG_CONSUMER)))
        log_warn("a connection is not encrypted", LOG_STR("why", plain));
}
