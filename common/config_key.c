/* The table of settings as data, and finding a key by a name that may be wrong. */
#include "config_key.h"

#include <ctype.h>
#include <stdio.h>

#define S CONFIG_SHIM
#define C CONFIG_CONSUMER
#define T CONFIG_TOOL
#define K CONFIG_TOOL_KAFKA
#define REQUIRED CONFIG_REQUIRED
#define SECRET CONFIG_SECRET
#define SECRET_PART CONFIG_SECRET_PART

#define PLACE_STRING(section, key) offsetof(struct config, section##_##key)
#define PLACE_INT PLACE_STRING
#define PLACE_BOOL PLACE_STRING
#define PLACE_LIST PLACE_STRING
#define PLACE_PAIRS PLACE_STRING
#define PLACE_DURATION(section, key) offsetof(struct config, section##_##key##_ms)
#define PLACE_SIZE(section, key) offsetof(struct config, section##_##key##_bytes)

const struct config_key config_keys[CONFIG_KEY_COUNT] = {
#define X(section_, key_, TYPE, def_, min_, max_, flags_, help_) \
    {.section = #section_,                                       \
     .name = #key_,                                              \
     .path = #section_ "." #key_,                                \
     .env = #section_ "_" #key_,                                 \
     .kind = CONFIG_KIND_##TYPE,                                 \
     .def = (def_),                                              \
     .min = (min_),                                              \
     .max = (max_),                                              \
     .flags = (flags_),                                          \
     .help = (help_),                                            \
     .offset = PLACE_##TYPE(section_, key_)},
    CONFIG_TABLE(X)
#undef X
};

#undef S
#undef C
#undef T
#undef REQUIRED
#undef SECRET
#undef SECRET_PART

/* What people write who know other programs' names for the same. */
static const struct {
    const char *path;
    enum config_key_id id;
} other_names[] = {
    {"kafka.brokers", CONFIG_KEY_kafka_bootstrap_servers},
    {"kafka.servers", CONFIG_KEY_kafka_bootstrap_servers},
    {"kafka.group_id", CONFIG_KEY_kafka_group},
    {"database.dsn", CONFIG_KEY_database_url},
    {"llm.url", CONFIG_KEY_llm_base_url},
    {"llm.key", CONFIG_KEY_llm_api_key},
    {"consumer.concurrency", CONFIG_KEY_consumer_max_in_flight},
    {"claim.timeout", CONFIG_KEY_claim_lease},
};

const struct config_key *config_key_find(struct slice section, struct slice name)
{
    for (size_t i = 0; i < CONFIG_KEY_COUNT; i++) {
        if (slice_equal(section, slice_of(config_keys[i].section)) && slice_equal(name, slice_of(config_keys[i].name)))
            return &config_keys[i];
    }
    return NULL;
}

bool config_key_is_section(struct slice section)
{
    for (size_t i = 0; i < CONFIG_KEY_COUNT; i++) {
        if (slice_equal(section, slice_of(config_keys[i].section)))
            return true;
    }
    return false;
}

static bool same_char(char a, char b)
{
    const int x = a == '.' || a == '-' ? '_' : tolower((unsigned char)a);
    const int y = b == '.' || b == '-' ? '_' : tolower((unsigned char)b);
    return x == y;
}

enum { NAME_MAX_LEN = 64 };

/* Levenshtein's distance; names longer than NAME_MAX_LEN are far from everything. */
static size_t distance(const char *a, const char *b)
{
    const size_t len_a = strlen(a), len_b = strlen(b);
    if (len_a > NAME_MAX_LEN || len_b > NAME_MAX_LEN)
        return SIZE_MAX;
    size_t row[NAME_MAX_LEN + 1];
    for (size_t j = 0; j <= len_b; j++)
        row[j] = j;
    for (size_t i = 1; i <= len_a; i++) {
        size_t diagonal = row[0];
        row[0] = i;
        for (size_t j = 1; j <= len_b; j++) {
            const size_t changed = diagonal + !same_char(a[i - 1], b[j - 1]);
            diagonal = row[j];
            row[j] = MIN(changed, MIN(row[j], row[j - 1]) + 1);
        }
    }
    return row[len_b];
}

const struct config_key *config_key_nearest(const char *path)
{
    const char *dot = strrchr(path, '.');
    const char *last_word = dot ? dot + 1 : path;
    const struct config_key *best = NULL;
    size_t least = MAX(strlen(path) / 4, 2) + 1; /* further away is no typing error */
    for (size_t i = 0; i < CONFIG_KEY_COUNT; i++) {
        const size_t moved = strcmp(last_word, config_keys[i].name) == 0 ? 2 : SIZE_MAX; /* the wrong section */
        const size_t far = MIN(distance(path, config_keys[i].path), moved);
        if (far < least) {
            least = far;
            best = &config_keys[i];
        }
    }
    for (size_t i = 0; i < ARRAY_LEN(other_names); i++) {
        const size_t far = distance(path, other_names[i].path);
        if (far < least) {
            least = far;
            best = &config_keys[other_names[i].id];
        }
    }
    return best;
}

void config_key_env(const struct config_key *key, char ret_name[CONFIG_ENV_SIZE])
{
    (void)snprintf(ret_name, CONFIG_ENV_SIZE, "ROOMCLAIM_%s", key->env);
    for (char *c = ret_name; *c != '\0'; c++)
        *c = (char)toupper((unsigned char)*c);
}

const char *config_key_programs(const struct config_key *key)
{
    static const char *const names[8] = {
        [CONFIG_SHIM] = "shim",
        [CONFIG_CONSUMER] = "consumer",
        [CONFIG_TOOL] = "tool",
        [CONFIG_SHIM | CONFIG_CONSUMER] = "shim, consumer",
        [CONFIG_SHIM | CONFIG_TOOL] = "shim, tool",
        [CONFIG_CONSUMER | CONFIG_TOOL] = "consumer, tool",
        [CONFIG_SHIM | CONFIG_CONSUMER | CONFIG_TOOL] = "all",
    };
    const unsigned tool = key->flags & CONFIG_TOOL_KAFKA ? CONFIG_TOOL : 0;
    const char *name = names[(key->flags & (CONFIG_SHIM | CONFIG_CONSUMER | CONFIG_TOOL)) | tool];
    return name ? name : "none";
}
