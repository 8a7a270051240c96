/* Typed values: one parser, one printer and one clean-up a type, found by a table. */
#include "config_value.h"

#include "alloc.h"
#include "config_list.h"
#include "config_url.h"
#include "secret.h"

#include <ctype.h>
#include <inttypes.h>

static void *field_of(const struct config_key *key, struct config *config)
{
    return (char *)config + key->offset;
}

static const void *field_of_const(const struct config_key *key, const struct config *config)
{
    return (const char *)config + key->offset;
}

/* ---- numbers with and without a unit ---- */

struct unit {
    const char *name;
    int64_t factor;
};

static const struct unit durations[] = {{"d", 86400000}, {"h", 3600000}, {"m", 60000}, {"s", 1000}, {"ms", 1}};
static const struct unit sizes[] = {{"GiB", 1 << 30}, {"MiB", 1 << 20}, {"KiB", 1 << 10}, {"B", 1}};

/* The units of a type; an INT has none. */
static const struct unit *units_of(enum config_kind kind, size_t *ret_count)
{
    *ret_count = kind == CONFIG_KIND_DURATION ? ARRAY_LEN(durations) : kind == CONFIG_KIND_SIZE ? ARRAY_LEN(sizes) : 0;
    return kind == CONFIG_KIND_DURATION ? durations : sizes;
}

static const char *example_of(enum config_kind kind)
{
    return kind == CONFIG_KIND_DURATION ? "a number with a unit, such as 200ms, 3s, 5m, 24h or 7d"
           : kind == CONFIG_KIND_SIZE   ? "a number with a unit, such as 512B, 64KiB, 1MiB or 2GiB"
                                        : "a whole number";
}

static void put_number(struct text *out, enum config_kind kind, int64_t value)
{
    if (kind == CONFIG_KIND_DURATION && value == CONFIG_NEVER) {
        text_puts(out, "never");
        return;
    }
    size_t count;
    const struct unit *units = units_of(kind, &count);
    const struct unit *best = count > 0 ? &units[count - 1] : NULL;
    for (size_t i = 0; i < count && value != 0; i++) {
        if (value % units[i].factor == 0) {
            best = &units[i];
            break;
        }
    }
    text_printf(out, "%" PRId64 "%s", best ? value / best->factor : value, best ? best->name : "");
}

/* The factor of a unit's name, or 0. */
static int64_t factor_of(enum config_kind kind, const char *name)
{
    size_t count;
    const struct unit *units = units_of(kind, &count);
    if (count == 0)
        return *name == '\0';
    for (size_t i = 0; i < count; i++) {
        if (strcmp(units[i].name, name) == 0)
            return units[i].factor;
    }
    return 0;
}

enum number_result { NUMBER_OK, NUMBER_MALFORMED, NUMBER_TOO_LARGE };

static enum number_result read_number(enum config_kind kind, const char *text, int64_t *ret_value)
{
    const bool negative = *text == '-';
    const char *at = text + negative;
    int64_t value = 0;
    bool overflow = false;
    const char *digits = at;
    for (; isdigit((unsigned char)*at); at++)
        overflow =
            __builtin_mul_overflow(value, 10, &value) || __builtin_add_overflow(value, *at - '0', &value) || overflow;
    const int64_t factor = factor_of(kind, at);
    if (at == digits || factor == 0)
        return NUMBER_MALFORMED;
    if (overflow || __builtin_mul_overflow(value, factor, &value))
        return NUMBER_TOO_LARGE;
    *ret_value = negative ? -value : value;
    return NUMBER_OK;
}

void config_value_put_range(const struct config_key *key, struct text *out)
{
    put_number(out, key->kind, key->min);
    text_puts(out, " to ");
    put_number(out, key->kind, key->max);
}

static bool out_of_range(const struct config_key *key, const char *given, struct error *ret_why)
{
    AUTO(text_free) struct text range = {0};
    config_value_put_range(key, &range);
    error_set(ret_why, ERROR_OPERATOR, "\"%.40s\" is out of range; allowed is %s", given, range.ptr);
    return false;
}

static bool parse_number(const struct config_key *key, const char *text, void *field, struct error *ret_why)
{
    int64_t value = 0;
    if (key->kind == CONFIG_KIND_DURATION && key->max == CONFIG_NEVER && strcmp(text, "never") == 0) {
        memcpy(field, &(int64_t){CONFIG_NEVER}, sizeof value);
        return true;
    }
    switch (read_number(key->kind, text, &value)) {
    case NUMBER_MALFORMED:
        error_set(ret_why, ERROR_OPERATOR, "\"%.40s\" is not %s", text, example_of(key->kind));
        return false;
    case NUMBER_TOO_LARGE:
        return out_of_range(key, text, ret_why);
    case NUMBER_OK:
        break;
    }
    if (value < key->min || value > key->max)
        return out_of_range(key, text, ret_why);
    memcpy(field, &value, sizeof value);
    return true;
}

static void print_number(const struct config_key *key, const void *field, bool masked, struct text *out)
{
    (void)masked;
    int64_t value;
    memcpy(&value, field, sizeof value);
    const char *quote = key->kind == CONFIG_KIND_INT ? "" : "\"";
    text_puts(out, quote);
    put_number(out, key->kind, value);
    text_puts(out, quote);
}

static void clear_number(void *field)
{
    memset(field, 0, sizeof(int64_t));
}

static bool parse_bool(const struct config_key *key, const char *text, void *field, struct error *ret_why)
{
    (void)key;
    const bool value = strcmp(text, "true") == 0;
    if (!value && strcmp(text, "false") != 0) {
        error_set(ret_why, ERROR_OPERATOR, "\"%.40s\" is neither true nor false", text);
        return false;
    }
    bool *const boolean = field;
    *boolean = value;
    return true;
}

static void print_bool(const struct config_key *key, const void *field, bool masked, struct text *out)
{
    (void)key;
    (void)masked;
    bool value;
    memcpy(&value, field, sizeof value);
    text_puts(out, value ? "true" : "false");
}

static void clear_bool(void *field)
{
    memset(field, 0, sizeof(bool));
}

/* ---- strings ---- */

void config_value_quote(struct text *out, const char *text)
{
    text_puts(out, "\"");
    for (const char *c = text; *c != '\0'; c++) {
        if (*c == '"' || *c == '\\')
            text_printf(out, "\\%c", *c);
        else if ((unsigned char)*c < 0x20 || *c == 0x7f)
            text_printf(out, "\\x%02x", (unsigned)(unsigned char)*c);
        else
            text_put(out, c, 1);
    }
    text_puts(out, "\"");
}

/* Length and, but for line breaks in SQL, no control characters: they would end up in headers and logs. */
bool config_value_check_text(const struct config_key *key, const char *text, struct error *ret_why)
{
    const size_t len = strlen(text);
    const char *what = key->kind == CONFIG_KIND_STRING ? "" : "an item ";
    for (const char *c = text; *c != '\0'; c++) {
        const bool is_break = *c == '\n' || *c == '\t' || *c == '\r';
        if (((unsigned char)*c < 0x20 && !(is_break && key == &config_keys[CONFIG_KEY_database_input_ready])) ||
            *c == 0x7f) {
            error_set(ret_why, ERROR_OPERATOR, "%sholds a control character at byte %td", what, c - text);
            return false;
        }
    }
    if (key->kind != CONFIG_KIND_STRING || ((int64_t)len >= key->min && (int64_t)len <= key->max))
        return true;
    if (len == 0)
        error_set(ret_why, ERROR_OPERATOR, "is empty");
    else
        error_set(ret_why, ERROR_OPERATOR, "is %zu bytes long; at most %" PRId64 " are allowed", len, key->max);
    return false;
}

static bool parse_string(const struct config_key *key, const char *text, void *field, struct error *ret_why)
{
    if (!config_value_check_text(key, text, ret_why))
        return false;
    char *copy = xstrdup(text);
    memcpy(field, &copy, sizeof copy);
    return true;
}

static void print_string(const struct config_key *key, const void *field, bool masked, struct text *out)
{
    const char *text;
    memcpy(&text, field, sizeof text);
    AUTO(text_free) struct text shown = {0};
    if (masked && (key->flags & CONFIG_SECRET) && *text != '\0')
        text_puts(&shown, "***");
    else if (masked && (key->flags & CONFIG_SECRET_PART))
        config_url_mask(text, &shown);
    else
        text_puts(&shown, text);
    config_value_quote(out, shown.ptr);
}

static void clear_string(void *field)
{
    char *text;
    memcpy(&text, field, sizeof text);
    secret_free(text);
    memset(field, 0, sizeof text);
}

/* ---- by type ---- */

static const struct {
    bool (*parse)(const struct config_key *key, const char *text, void *field, struct error *ret_why);
    void (*print)(const struct config_key *key, const void *field, bool masked, struct text *out);
    void (*clear)(void *field);
    size_t size;
} types[] = {
    [CONFIG_KIND_STRING] = {parse_string, print_string, clear_string, sizeof(char *)},
    [CONFIG_KIND_INT] = {parse_number, print_number, clear_number, sizeof(int64_t)},
    [CONFIG_KIND_BOOL] = {parse_bool, print_bool, clear_bool, sizeof(bool)},
    [CONFIG_KIND_DURATION] = {parse_number, print_number, clear_number, sizeof(int64_t)},
    [CONFIG_KIND_SIZE] = {parse_number, print_number, clear_number, sizeof(int64_t)},
    [CONFIG_KIND_LIST] = {config_list_parse, config_list_print, config_list_clear, sizeof(struct config_list)},
    [CONFIG_KIND_PAIRS] = {config_pairs_parse, config_pairs_print, config_pairs_clear, sizeof(struct config_pairs)},
};

union value {
    struct config_list list; /* the largest first: {0} clears all of it */
    struct config_pairs pairs;
    char *string;
    int64_t number;
    bool boolean;
};

bool config_value_parse(const struct config_key *key, const char *text, struct config *config, struct error *ret_why)
{
    union value value = {0};
    if (!types[key->kind].parse(key, text, &value, ret_why))
        return false;
    types[key->kind].clear(field_of(key, config));
    memcpy(field_of(key, config), &value, types[key->kind].size);
    return true;
}

void config_value_print(const struct config_key *key, const struct config *config, bool masked, struct text *out)
{
    types[key->kind].print(key, field_of_const(key, config), masked, out);
}

void config_value_clear(const struct config_key *key, struct config *config)
{
    types[key->kind].clear(field_of(key, config));
}

static bool string_is_secret(const struct config_key *key, const char *text)
{
    return (key->flags & CONFIG_SECRET) ? *text != '\0' : config_url_has_password(text);
}

static bool pairs_are_secret(const struct config_key *key, const struct config_pairs *pairs)
{
    for (size_t i = 0; i < pairs->count; i++) {
        if ((key->flags & CONFIG_SECRET) || config_property_is_secret(pairs->items[i].name))
            return true;
    }
    return false;
}

bool config_value_is_secret(const struct config_key *key, const struct config *config)
{
    if (!(key->flags & (CONFIG_SECRET | CONFIG_SECRET_PART)))
        return false;
    if (key->kind == CONFIG_KIND_PAIRS)
        return pairs_are_secret(key, field_of_const(key, config));
    const char *text;
    memcpy(&text, field_of_const(key, config), sizeof text);
    return string_is_secret(key, text);
}
