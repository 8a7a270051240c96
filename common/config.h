/* The configuration: libconfig file < environment < command line, one table of settings for all programs.
 *
 * One file serves all three programs: each checks the form of every value, but requires, compares and keeps secrets
 * only of what it reads itself. An unknown key is an error with its file, line and a "did you mean". Secrets come from
 * the environment (X or X_FILE), a guarded file or $CREDENTIALS_DIRECTORY/section.key, never from --set; one secret
 * from two sources is an error. A value from --set that is bad is a configuration error, a --set that names nothing or
 * a secret is a usage error.
 */
#ifndef ROOMCLAIM_CONFIG_H
#define ROOMCLAIM_CONFIG_H

#include "base.h"
#include "config_table.h"
#include "error.h"

#include <stdio.h>

/* CONFIG_TOOL: the tool's commands that need Postgres; CONFIG_TOOL_KAFKA: those that need Kafka. */
enum { CONFIG_SHIM = 1 << 0, CONFIG_CONSUMER = 1 << 1, CONFIG_TOOL = 1 << 2, CONFIG_TOOL_KAFKA = 1 << 3 };

#define CONFIG_NEVER INT64_MAX /* a DURATION whose text was "never" */

struct config_list {
    char **items;
    size_t count;
};

struct config_pair {
    char *name, *value;
};

struct config_pairs {
    struct config_pair *items;
    size_t count;
};

#define CONFIG_FIELD_STRING(section, key) char *section##_##key;
#define CONFIG_FIELD_INT(section, key) int64_t section##_##key;
#define CONFIG_FIELD_BOOL(section, key) bool section##_##key;
#define CONFIG_FIELD_DURATION(section, key) int64_t section##_##key##_ms;
#define CONFIG_FIELD_SIZE(section, key) int64_t section##_##key##_bytes;
#define CONFIG_FIELD_LIST(section, key) struct config_list section##_##key;
#define CONFIG_FIELD_PAIRS(section, key) struct config_pairs section##_##key;

/* config->claim_lease_ms, config->kafka_topic, ...; everything owned by the struct. */
struct config {
#define X(section, key, TYPE, def, min, max, flags, help) CONFIG_FIELD_##TYPE(section, key)
    CONFIG_TABLE(X)
#undef X
};

/* What the command line of a daemon or the tool said, besides its own words. */
struct config_args {
    const char *file;  /* -c FILE, --config FILE; NULL: none (environment only) */
    const char **sets; /* each "section.key=value" of --set, in order */
    size_t set_count;
};

/* Reads file, environment and --set for the program (CONFIG_SHIM, ...), checks ranges, required keys and what
 * belongs together (claim.lease >= llm.timeout + claim.margin names both). Returns owned, or NULL with *ret_err, class
 * OPERATOR for exit 78 or REJECT for exit 64 (a --set that is refused). config_free wipes secrets; NULL is fine. */
struct config *config_load(unsigned program, const struct config_args *args, struct error *ret_err) MUST_CHECK;
void config_free(struct config *config);

/* All defaults, unchecked and without the environment: for documents and tests. Returns owned. */
struct config *config_new_default(void) MUST_CHECK;

/* <topic>.dlq, or kafka.dead_letter_topic. Borrowed from config. */
const char *config_dead_letter_topic(const struct config *config);

/* The whole effective configuration as a file that config_load reads again, secrets masked. */
void config_print(const struct config *config, unsigned program, FILE *out);
/* A sample file: every key of every program with its default and help, commented out. */
void config_print_sample(FILE *out);
/* The manual's page, docs/configuration.md. */
void config_print_reference(FILE *out);
/* The keys that the program reads, for --help. */
void config_print_help(unsigned program, FILE *out);

enum {
    EXIT_DONE = 0,
    EXIT_FAILED = 1,
    EXIT_FORCED = 2, /* stopped with work left */
    EXIT_USAGE = 64,
    EXIT_UNAVAILABLE = 69, /* a dependency is away */
    EXIT_CONFIG = 78,
};

/* The options that every program shares: -c/--config, --set, --check, --print-config, --print-sample,
 * --print-reference, --version, --help. Handles those that print and end; starts the log and warns of what is unwise.
 * Returns a loaded configuration, or NULL with *ret_exit the exit code of the process (EXIT_DONE after --help).
 * Words that are no options are left, argv is reordered: *ret_words points into it, *ret_word_count says how many;
 * with ret_words NULL a word is a usage error. usage is the program's first lines of --help. A program's own options
 * stand in own_options (may be NULL), an array ended by a NULL name; one that is given sets *given and, where value
 * is not NULL, takes a value (--name VALUE or --name=VALUE), a pointer into argv. */
struct own_option {
    const char *name; /* "--states" */
    const char *help;
    bool *given;        /* may be NULL */
    const char **value; /* NULL: the option takes none */
};
struct config *config_from_command_line(unsigned program, const char *usage, int argc, char **argv,
                                        const struct own_option *own_options, char ***ret_words, int *ret_word_count,
                                        int *ret_exit) MUST_CHECK;

#endif
