/* Lists and pairs: splitting at commas that are not escaped, printing as a libconfig array. */
#include "config_list.h"

#include "alloc.h"
#include "config_value.h"
#include "secret.h"

#include <inttypes.h>

#ifndef __clang__
/* gcc's analyzer loses sight of a pointer that is stored into a grown array. */
#pragma GCC diagnostic ignored "-Wanalyzer-malloc-leak"
#endif

void config_list_join(struct text *list, const char *item)
{
    if (list->len > 0)
        text_puts(list, ",");
    for (const char *c = item; *c != '\0'; c++) {
        if (*c == ',' || *c == '\\' || *c == '\n')
            text_puts(list, "\\");
        text_put(list, c, 1);
    }
}

/* Takes the next item off *at, blanks around it stripped and \, unescaped; false at the end. */
static bool next_item(const char **at, struct text *ret_item)
{
    const char *c = *at;
    if (*c == '\0')
        return false;
    while (*c == ' ' || *c == '\t')
        c++;
    text_put(ret_item, "", 0);
    ret_item->len = 0;
    for (; *c != '\0' && *c != ',' && *c != '\n'; c++) {
        if (*c == '\\' && (c[1] == ',' || c[1] == '\\' || c[1] == '\n'))
            c++;
        text_put(ret_item, c, 1);
    }
    while (ret_item->len > 0 && strchr(" \t\r", ret_item->ptr[ret_item->len - 1]))
        ret_item->len--;
    ret_item->ptr[ret_item->len] = '\0';
    *at = *c == '\0' ? c : c + 1;
    return true;
}

static void wipe_item(struct text *item)
{
    if (item->ptr)
        explicit_bzero(item->ptr, item->size);
    text_free(item);
}

static bool check_count(const struct config_key *key, size_t count, struct error *ret_why)
{
    if ((int64_t)count >= key->min && (int64_t)count <= key->max)
        return true;
    error_set(ret_why, ERROR_OPERATOR, "has %zu items; allowed is %" PRId64 " to %" PRId64, count, key->min, key->max);
    return false;
}

void config_list_clear(void *field)
{
    struct config_list *list = field;
    for (size_t i = 0; i < list->count; i++)
        secret_free(list->items[i]);
    free(list->items);
    *list = (struct config_list){0};
}

static bool add_item(const struct config_key *key, const char *item, struct config_list *list, struct error *ret_why)
{
    if (*item == '\0') {
        error_set(ret_why, ERROR_OPERATOR, "has an empty item");
        return false;
    }
    if (!config_value_check_text(key, item, ret_why))
        return false;
    list->items = xgrow(list->items, list->count + 1, sizeof *list->items);
    list->items[list->count++] = xstrdup(item);
    return true;
}

bool config_list_parse(const struct config_key *key, const char *text, void *field, struct error *ret_why)
{
    struct config_list *list = field;
    AUTO(wipe_item) struct text item = {0};
    bool ok = true;
    *list = (struct config_list){0};
    for (const char *at = text; ok && next_item(&at, &item);)
        ok = add_item(key, item.ptr, list, ret_why);
    ok = ok && check_count(key, list->count, ret_why);
    if (!ok)
        config_list_clear(list);
    return ok;
}

void config_list_print(const struct config_key *key, const void *field, bool masked, struct text *out)
{
    (void)key;
    (void)masked;
    const struct config_list *list = field;
    text_puts(out, "[");
    for (size_t i = 0; i < list->count; i++) {
        text_puts(out, i > 0 ? ", " : " ");
        config_value_quote(out, list->items[i]);
    }
    text_puts(out, list->count > 0 ? " ]" : "]");
}

void config_pairs_clear(void *field)
{
    struct config_pairs *pairs = field;
    for (size_t i = 0; i < pairs->count; i++) {
        free(pairs->items[i].name);
        secret_free(pairs->items[i].value);
    }
    free(pairs->items);
    *pairs = (struct config_pairs){0};
}

static bool has_name(const struct config_pairs *pairs, const char *name)
{
    for (size_t i = 0; i < pairs->count; i++) {
        if (strcmp(pairs->items[i].name, name) == 0)
            return true;
    }
    return false;
}

/* Appends "name=value"; never quotes the value in an error. */
static bool add_pair(const struct config_key *key, const char *item, struct config_pairs *pairs, struct error *ret_why)
{
    const char *equals = strchr(item, '=');
    const size_t name_len = equals ? (size_t)(equals - item) : 0;
    if (name_len == 0) {
        error_set(ret_why, ERROR_OPERATOR, "item %zu is not name=value", pairs->count + 1);
        return false;
    }
    if (!config_value_check_text(key, item, ret_why))
        return false;
    char *name = xmemdup0(item, name_len);
    while (name[strlen(name) - 1] == ' ' && name[1] != '\0')
        name[strlen(name) - 1] = '\0';
    if (has_name(pairs, name)) {
        error_set(ret_why, ERROR_OPERATOR, "names %.100s twice", name);
        free(name);
        return false;
    }
    const char *value = equals + 1;
    while (*value == ' ')
        value++;
    pairs->items = xgrow(pairs->items, pairs->count + 1, sizeof *pairs->items);
    pairs->items[pairs->count++] = (struct config_pair){.name = name, .value = xstrdup(value)};
    return true;
}

bool config_pairs_parse(const struct config_key *key, const char *text, void *field, struct error *ret_why)
{
    struct config_pairs *pairs = field;
    AUTO(wipe_item) struct text item = {0};
    bool ok = true;
    *pairs = (struct config_pairs){0};
    for (const char *at = text; ok && next_item(&at, &item);)
        ok = add_pair(key, item.ptr, pairs, ret_why);
    ok = ok && check_count(key, pairs->count, ret_why);
    if (!ok)
        config_pairs_clear(pairs);
    return ok;
}

bool config_property_is_secret(const char *name)
{
    static const char *const parts[] = {"password", "secret", "token", "pem", "jaas", "private", "oauthbearer.config"};
    for (size_t i = 0; i < ARRAY_LEN(parts); i++) {
        if (strstr(name, parts[i]))
            return true;
    }
    return false;
}

void config_pairs_print(const struct config_key *key, const void *field, bool masked, struct text *out)
{
    const struct config_pairs *pairs = field;
    text_puts(out, "[");
    for (size_t i = 0; i < pairs->count; i++) {
        const struct config_pair *pair = &pairs->items[i];
        const bool hide = masked && ((key->flags & CONFIG_SECRET) || config_property_is_secret(pair->name));
        AUTO(text_free) struct text item = {0};
        text_printf(&item, "%s=%s", pair->name, hide ? "***" : pair->value);
        text_puts(out, i > 0 ? ", " : " ");
        config_value_quote(out, item.ptr);
    }
    text_puts(out, pairs->count > 0 ? " ]" : "]");
}
