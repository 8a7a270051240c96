/* The table of settings as documents: the effective configuration, the sample file, the manual's table, the help. */
#include "config.h"
#include "config_load.h"
#include "config_value.h"

#include <inttypes.h>

/* Calls print for each key that one of the programs reads, with the section's frame around its keys. */
static void put_sections(unsigned programs, FILE *out, void (*print)(const struct config_key *, const void *, FILE *),
                         const void *arg)
{
    const char *open = NULL;
    for (size_t i = 0; i < CONFIG_KEY_COUNT; i++) {
        const struct config_key *key = &config_keys[i];
        if (!(key->flags & programs))
            continue;
        if (open && strcmp(open, key->section) != 0)
            (void)fputs("};\n", out);
        if (!open || strcmp(open, key->section) != 0)
            (void)fprintf(out, "%s%s : {\n", open ? "\n" : "", key->section);
        open = key->section;
        print(key, arg, out);
    }
    (void)fputs("};\n", out);
}

/* A secret stays a comment, so that the masked file is read again with the secret from its own source. */
static void print_value(const struct config_key *key, const void *arg, FILE *out)
{
    AUTO(text_free) struct text value = {0};
    config_value_print(key, arg, true, &value);
    (void)fprintf(out, "    %s%s = %s;\n", (key->flags & CONFIG_SECRET) ? "# " : "", key->name, value.ptr);
}

void config_print(const struct config *config, unsigned program, FILE *out)
{
    put_sections(program, out, print_value, config);
}

/* As the table writes it: 120s stays 120s. */
static void put_default(const struct config_key *key, const struct config *defaults, struct text *out)
{
    if (key->kind == CONFIG_KIND_DURATION || key->kind == CONFIG_KIND_SIZE)
        config_value_quote(out, key->def);
    else
        config_value_print(key, defaults, false, out);
}

static void print_sample_key(const struct config_key *key, const void *defaults, FILE *out)
{
    AUTO(text_free) struct text value = {0};
    put_default(key, defaults, &value);
    (void)fprintf(out, "    # %s%s%s (%s)\n    # %s = %s;\n", key->help,
                  (key->flags & CONFIG_REQUIRED) ? "; required" : "", (key->flags & CONFIG_SECRET) ? "; secret" : "",
                  config_key_programs(key), key->name, value.ptr);
}

void config_print_sample(FILE *out)
{
    struct config *defaults = config_new_default();
    (void)fputs(
        "# roomclaim: every setting with its default. Take the # away to change one.\n"
        "# The environment goes before this file, ROOMCLAIM_SECTION_KEY (ROOMCLAIM_CLAIM_LEASE=3s), and --set\n"
        "# section.key=value before both. Secrets are better kept out of here: X_FILE names a file that holds X,\n"
        "# and systemd credentials are called section.key. A file with a secret must not be readable by others.\n"
        "\n",
        out);
    put_sections(CONFIG_SHIM | CONFIG_CONSUMER | CONFIG_TOOL, out, print_sample_key, defaults);
    config_free(defaults);
}

/* ---- the manual ---- */

static const char *const kinds[] = {
    [CONFIG_KIND_STRING] = "string",     [CONFIG_KIND_INT] = "number", [CONFIG_KIND_BOOL] = "true or false",
    [CONFIG_KIND_DURATION] = "duration", [CONFIG_KIND_SIZE] = "size",  [CONFIG_KIND_LIST] = "list",
    [CONFIG_KIND_PAIRS] = "pairs",
};

/* "1s to 24h"; nothing for true or false. */
static void put_range(const struct config_key *key, struct text *out)
{
    const bool is_count = key->kind == CONFIG_KIND_LIST || key->kind == CONFIG_KIND_PAIRS;
    if (key->kind == CONFIG_KIND_BOOL)
        return;
    if (key->kind == CONFIG_KIND_STRING)
        text_printf(out, "%" PRId64 " to %" PRId64 " bytes", key->min, key->max);
    else if (is_count)
        text_printf(out, "%" PRId64 " to %" PRId64 " items", key->min, key->max);
    else
        config_value_put_range(key, out);
}

static void put_cell(const char *text, FILE *out)
{
    for (; *text != '\0'; text++) {
        if (*text == '|' || *text == '<')
            (void)fputc('\\', out);
        (void)fputc(*text, out);
    }
}

static void print_reference_key(const struct config_key *key, const struct config *defaults, FILE *out)
{
    AUTO(text_free) struct text value = {0}, range = {0};
    put_default(key, defaults, &value);
    text_puts(&range, "");
    put_range(key, &range);
    (void)fprintf(out, "| `%s` | `%s` | %s%s%s | %s | ", key->path, value.ptr, kinds[key->kind],
                  range.len > 0 ? ", " : "", range.ptr, config_key_programs(key));
    put_cell(key->help, out);
    (void)fprintf(out, "%s%s |\n", (key->flags & CONFIG_REQUIRED) ? "; **required**" : "",
                  (key->flags & CONFIG_SECRET) ? "; secret" : "");
}

void config_print_reference(FILE *out)
{
    struct config *defaults = config_new_default();
    (void)fputs(
        "# Configuration\n\n"
        "Made by `roomclaim --print-reference`; a test compares this file with the program.\n\n"
        "A key stands in a libconfig file (`claim : { lease = \"3s\"; };`), in the environment\n"
        "(`ROOMCLAIM_CLAIM_LEASE=3s`) or on the command line (`--set claim.lease=3s`); the later goes before the\n"
        "earlier. Well-known variables count too: `KAFKA_BOOTSTRAP_SERVERS`, `DATABASE_URL` and libpq's `PG*`,\n"
        "`LIVEKIT_API_KEY`, `LIVEKIT_API_SECRET`, `GEMINI_API_KEY`, `GOOGLE_API_KEY`; each of ours also from the file\n"
        "that `X_FILE` names. A secret also comes from such a file, or from a systemd credential with the key's name\n"
        "(`livekit.api_secret`); from one source only, and never from `--set`. A file that holds a secret must not be\n"
        "readable by others. SIGHUP makes a daemon read its secrets again: LiveKit's keys, the model's key.\n\n"
        "Durations carry a unit (`200ms`, `3s`, `5m`, `24h`, `7d`), sizes too (`512B`, `64KiB`, `1MiB`, `2GiB`).\n"
        "Lists are `[ \"a\", \"b\" ]` in the file and `a,b` elsewhere, pairs `[ \"name=value\" ]` and `name=value`;\n"
        "a comma inside an item has a backslash before it.\n\n"
        "| key | default | value | read by | |\n| --- | --- | --- | --- | --- |\n",
        out);
    for (size_t i = 0; i < CONFIG_KEY_COUNT; i++)
        print_reference_key(&config_keys[i], defaults, out);
    config_free(defaults);
}

void config_print_help(unsigned program, FILE *out)
{
    struct config *defaults = config_new_default();
    for (size_t i = 0; i < CONFIG_KEY_COUNT; i++) {
        const struct config_key *key = &config_keys[i];
        if (!(key->flags & program))
            continue;
        AUTO(text_free) struct text value = {0};
        put_default(key, defaults, &value);
        (void)fprintf(out, "  %-28s %s [%s]%s\n", key->path, key->help, value.ptr,
                      (key->flags & CONFIG_REQUIRED) ? " (required)" : "");
    }
    config_free(defaults);
}
