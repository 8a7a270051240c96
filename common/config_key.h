/* The table of settings as data, for the files config*.c only: what a key is called, its type, limits and place. */
#ifndef ROOMCLAIM_CONFIG_KEY_H
#define ROOMCLAIM_CONFIG_KEY_H

#include "config.h"

enum config_kind {
    CONFIG_KIND_STRING,
    CONFIG_KIND_INT,
    CONFIG_KIND_BOOL,
    CONFIG_KIND_DURATION,
    CONFIG_KIND_SIZE,
    CONFIG_KIND_LIST,
    CONFIG_KIND_PAIRS,
};

/* Beside CONFIG_SHIM, CONFIG_CONSUMER and CONFIG_TOOL in config_key.flags. */
enum { CONFIG_REQUIRED = 1 << 8, CONFIG_SECRET = 1 << 9, CONFIG_SECRET_PART = 1 << 10 };

/* CONFIG_KEY_claim_lease, ...: indexes into config_keys. */
enum config_key_id {
#define X(section, key, TYPE, def, min, max, flags, help) CONFIG_KEY_##section##_##key,
    CONFIG_TABLE(X)
#undef X
        CONFIG_KEY_COUNT
};

struct config_key {
    const char *section, *name; /* "claim", "lease" */
    const char *path;           /* "claim.lease" */
    const char *env;            /* "CLAIM_LEASE", without the prefix and in lower case as written in the table */
    enum config_kind kind;
    const char *def;
    int64_t min, max; /* of the value; of a string the bytes, of a list the items */
    unsigned flags;
    const char *help;
    size_t offset; /* in struct config */
};

extern const struct config_key config_keys[CONFIG_KEY_COUNT];

/* NULL when there is none. */
const struct config_key *config_key_find(struct slice section, struct slice name);
bool config_key_is_section(struct slice section);

/* The key that was probably meant by a wrong "section.name" (also in capitals with _), or NULL. */
const struct config_key *config_key_nearest(const char *path);

/* ROOMCLAIM_CLAIM_LEASE. */
enum { CONFIG_ENV_SIZE = 64 };
void config_key_env(const struct config_key *key, char ret_name[CONFIG_ENV_SIZE]);

/* "shim, consumer": the programs that read it. Static text. */
const char *config_key_programs(const struct config_key *key);

#endif
