/* The loader that the files config*.c share while a configuration is put together: each source assigns texts to keys,
 * in the order file, environment, secret files, --set; the loader remembers where each value came from. */
#ifndef ROOMCLAIM_CONFIG_LOAD_H
#define ROOMCLAIM_CONFIG_LOAD_H

#include "config_key.h"

enum config_source {
    CONFIG_FROM_DEFAULT,
    CONFIG_FROM_FILE,
    CONFIG_FROM_SYNONYM,     /* DATABASE_URL and the like */
    CONFIG_FROM_ENV,         /* ROOMCLAIM_DATABASE_URL */
    CONFIG_FROM_SECRET_FILE, /* named by DATABASE_URL_FILE, or a systemd credential */
    CONFIG_FROM_SET,
};

enum { CONFIG_WHERE_SIZE = 192 };

struct config_loader {
    struct config *config; /* borrowed */
    unsigned program;
    struct {
        enum config_source source;
        char where[CONFIG_WHERE_SIZE]; /* for messages: "roomclaim.conf:12", "ROOMCLAIM_CLAIM_LEASE" */
    } origins[CONFIG_KEY_COUNT];
};

/* Parses text and stores it, or refuses it: a bad value, a second source of a secret, a placeholder. */
bool config_assign(struct config_loader *loader, const struct config_key *key, enum config_source source,
                   const char *where, const char *text, struct error *ret_err) MUST_CHECK;

/* Assigns what the file says. Refuses unknown and duplicate keys, and a file with a secret that others may read. */
bool config_load_file(struct config_loader *loader, const char *path, struct error *ret_err) MUST_CHECK;

/* Assigns what the environment, X_FILE files and credentials say. Refuses unknown variables ROOMCLAIM_*. */
bool config_load_env(struct config_loader *loader, struct error *ret_err) MUST_CHECK;

/* "kafka.topic is not set: ..." with the variables that set it. False always. */
bool config_env_missing(const struct config_key *key, struct error *ret_err);

/* Whether libpq's own variables say where the database is. */
bool config_env_has_database(void);

/* What libconfig would misread without a word: included files, NUL bytes, integers above 32 bits without an L. */
bool config_text_check(const char *text, const char *path, struct error *ret_err) MUST_CHECK;

/* What belongs together, and values of a form of their own; names both values. Class OPERATOR. */
bool config_check(const struct config *config, unsigned program, struct error *ret_err) MUST_CHECK;

/* Logs what is allowed but unwise. */
void config_warn(const struct config *config, unsigned program);

#endif
