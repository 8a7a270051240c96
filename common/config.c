/* Loading a configuration: defaults, file, environment, --set; then what is derived; then the checks. */
#include "config.h"

#include "alloc.h"
#include "config_list.h"
#include "config_load.h"
#include "config_url.h"
#include "config_value.h"
#include "secret.h"

#include <stdio.h>
#include <unistd.h>

/* ---- assigning ---- */

/* A secret from two sources: nobody can tell which one counts. A file named by X_FILE beside X is the same doubt. */
static bool is_ambiguous(const struct config_key *key, enum config_source old, enum config_source new)
{
    if (old == CONFIG_FROM_DEFAULT)
        return false;
    return (key->flags & CONFIG_SECRET) || (new == CONFIG_FROM_SECRET_FILE &&old >= CONFIG_FROM_SYNONYM);
}

static bool is_usable_secret(const char *text, struct error *ret_why)
{
    if (*text == '\0') {
        error_set(ret_why, ERROR_OPERATOR, "is set but empty");
        return false;
    }
    if (secret_is_placeholder(text)) {
        error_set(ret_why, ERROR_OPERATOR, "is a placeholder; put the real secret there");
        return false;
    }
    return true;
}

static bool are_usable_pairs(const struct config_key *key, const struct config_pairs *pairs, struct error *ret_why)
{
    for (size_t i = 0; i < pairs->count; i++) {
        const bool is_secret = (key->flags & CONFIG_SECRET) || config_property_is_secret(pairs->items[i].name);
        struct error why;
        if (is_secret && !is_usable_secret(pairs->items[i].value, &why)) {
            error_set(ret_why, ERROR_OPERATOR, "item %zu (%.80s) %s", i + 1, pairs->items[i].name, why.text);
            return false;
        }
    }
    return true;
}

/* Secrets must be there and real; the passwords inside an address or a list likewise. */
static bool check_secret(const struct config_key *key, const struct config *config, const char *text,
                         struct error *ret_why)
{
    if (!(key->flags & (CONFIG_SECRET | CONFIG_SECRET_PART)))
        return true;
    if (key == &config_keys[CONFIG_KEY_livekit_keys])
        return are_usable_pairs(key, &config->livekit_keys, ret_why);
    if (key == &config_keys[CONFIG_KEY_kafka_properties])
        return are_usable_pairs(key, &config->kafka_properties, ret_why);
    if (key->flags & CONFIG_SECRET)
        return is_usable_secret(text, ret_why);
    const struct slice password = config_url_get(text, "password");
    AUTO(secret_free_ptr) char *copy = xmemdup0(password.len > 0 ? password.ptr : "", password.len);
    if (!secret_is_placeholder(copy))
        return true;
    error_set(ret_why, ERROR_OPERATOR, "holds a placeholder for the password; put the real one there");
    return false;
}

bool config_assign(struct config_loader *loader, const struct config_key *key, enum config_source source,
                   const char *where, const char *text, struct error *ret_err)
{
    const size_t at = (size_t)(key - config_keys);
    struct error why;
    if (is_ambiguous(key, loader->origins[at].source, source)) {
        error_set(ret_err, ERROR_OPERATOR, "%s comes from two sources, %s and %s: leave only one", key->path,
                  loader->origins[at].where, where);
        return false;
    }
    if (!config_value_parse(key, text, loader->config, &why) ||
        ((key->flags & loader->program) && !check_secret(key, loader->config, text, &why))) {
        error_set(ret_err, ERROR_OPERATOR, "%s: %s %s", where, key->path, why.text);
        return false;
    }
    loader->origins[at].source = source;
    (void)snprintf(loader->origins[at].where, CONFIG_WHERE_SIZE, "%s", where);
    return true;
}

/* ---- sources ---- */

static bool refuse_secret_set(const struct config_key *key, struct error *ret_err)
{
    char own[CONFIG_ENV_SIZE];
    config_key_env(key, own);
    error_set(ret_err, ERROR_REJECT,
              "--set %s: a secret on the command line is visible to every user; set %s or %s_FILE", key->path, own,
              own);
    return false;
}

/* "claim.lease=3s" */
static bool load_set(struct config_loader *loader, const char *set, struct error *ret_err)
{
    const size_t path_len = strcspn(set, "=");
    if (set[path_len] != '=') {
        error_set(ret_err, ERROR_REJECT, "--set needs section.key=value, not \"%.40s\"", set);
        return false;
    }
    AUTO(free_ptr) char *path = xmemdup0(set, path_len);
    const size_t section_len = strcspn(path, ".");
    const char *name = path[section_len] == '.' ? path + section_len + 1 : "";
    const struct config_key *key = config_key_find((struct slice){path, section_len}, slice_of(name));
    if (!key) {
        const struct config_key *meant = config_key_nearest(path);
        error_set(ret_err, ERROR_REJECT, "--set: unknown key %.80s%s%s%s", path, meant ? "; did you mean " : "",
                  meant ? meant->path : "", meant ? "?" : "");
        return false;
    }
    if (key->flags & CONFIG_SECRET)
        return refuse_secret_set(key, ret_err);
    AUTO(free_ptr) char *where = xasprintf("--set %s", key->path);
    if (!config_assign(loader, key, CONFIG_FROM_SET, where, set + path_len + 1, ret_err))
        return false;
    return !config_value_is_secret(key, loader->config) || refuse_secret_set(key, ret_err);
}

struct config *config_new_default(void)
{
    struct config *config = xcalloc(1, sizeof *config);
    for (size_t i = 0; i < CONFIG_KEY_COUNT; i++) {
        struct error why;
        if (config_value_parse(&config_keys[i], config_keys[i].def, config, &why))
            continue;
        (void)fprintf(stderr, "default of %s %s\n", config_keys[i].path, why.text);
        abort(); /* the table is wrong */
    }
    return config;
}

static bool load_sources(struct config_loader *loader, const struct config_args *args, struct error *ret_err)
{
    if (args->file && !config_load_file(loader, args->file, ret_err))
        return false;
    if (!config_load_env(loader, ret_err))
        return false;
    for (size_t i = 0; i < args->set_count; i++) {
        if (!load_set(loader, args->sets[i], ret_err))
            return false;
    }
    return true;
}

/* ---- what follows from the rest ---- */

/* Keeps no secret that only other programs read. */
static void drop_foreign_secrets(struct config *config, unsigned program)
{
    for (size_t i = 0; i < CONFIG_KEY_COUNT; i++) {
        const struct config_key *key = &config_keys[i];
        struct error why;
        if ((key->flags & (CONFIG_SECRET | CONFIG_SECRET_PART)) && !(key->flags & program) &&
            !config_value_parse(key, key->def, config, &why))
            abort();
    }
}

static bool derive(struct config *config, struct error *ret_err)
{
    if (config->consumer_shutdown_grace_ms == 0)
        config->consumer_shutdown_grace_ms = config->llm_timeout_ms;
    if (*config->consumer_instance_id == '\0') {
        char host[128] = "unknown";
        (void)gethostname(host, sizeof host - 1);
        free(config->consumer_instance_id);
        config->consumer_instance_id = xasprintf("%s-%ld", host, (long)getpid());
    }
    if (*config->kafka_dead_letter_topic != '\0')
        return true;
    AUTO(free_ptr) char *topic = xasprintf("%s.dlq", config->kafka_topic);
    struct error why;
    if (config_value_parse(&config_keys[CONFIG_KEY_kafka_dead_letter_topic], topic, config, &why))
        return true;
    error_set(ret_err, ERROR_OPERATOR, "kafka.dead_letter_topic, made from kafka.topic, %s", why.text);
    return false;
}

static bool check_required(const struct config *config, unsigned program, struct error *ret_err)
{
    for (size_t i = 0; i < CONFIG_KEY_COUNT; i++) {
        const struct config_key *key = &config_keys[i];
        if (!(key->flags & CONFIG_REQUIRED) || !(key->flags & program))
            continue;
        const char *text; /* only strings are required */
        memcpy(&text, (const char *)config + key->offset, sizeof text);
        if (*text == '\0' && !(i == CONFIG_KEY_database_url && config_env_has_database()))
            return config_env_missing(key, ret_err);
    }
    return true;
}

struct config *config_load(unsigned program, const struct config_args *args, struct error *ret_err)
{
    struct config *config = config_new_default();
    struct config_loader *loader = xcalloc(1, sizeof *loader);
    loader->config = config;
    loader->program = program;
    bool ok = load_sources(loader, args, ret_err);
    free(loader);
    drop_foreign_secrets(config, program);
    ok = ok && derive(config, ret_err) && check_required(config, program, ret_err) &&
         config_check(config, program, ret_err);
    if (ok)
        return config;
    config_free(config);
    return NULL;
}

void config_free(struct config *config)
{
    if (!config)
        return;
    for (size_t i = 0; i < CONFIG_KEY_COUNT; i++)
        config_value_clear(&config_keys[i], config);
    free(config);
}

const char *config_dead_letter_topic(const struct config *config)
{
    return config->kafka_dead_letter_topic;
}
