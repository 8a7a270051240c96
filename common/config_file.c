/* The configuration file: libconfig's tree, walked key by key, each value turned into the text that every source
 * uses. All strings of the tree are wiped, because some are secrets. */
#include "alloc.h"
#include "config_list.h"
#include "config_load.h"
#include "config_value.h"
#include "file.h"
#include "secret.h"

#include <inttypes.h>
#include <libconfig.h>
#ifdef __SANITIZE_ADDRESS__
#include <sanitizer/lsan_interface.h>
#endif

enum { CONFIG_FILE_MAX = 1 << 20 };

struct file {
    struct config_loader *loader;
    const char *path;
};

/* ---- a setting as text ---- */

static bool wrong_form(const char *wanted, struct error *ret_why)
{
    error_set(ret_why, ERROR_OPERATOR, "must be %s", wanted);
    return false;
}

/* A string, a whole number or true/false, whichever it is. */
static bool put_scalar(const config_setting_t *setting, struct text *out)
{
    switch (config_setting_type(setting)) {
    case CONFIG_TYPE_STRING:
        text_puts(out, config_setting_get_string(setting));
        return true;
    case CONFIG_TYPE_INT:
    case CONFIG_TYPE_INT64:
        text_printf(out, "%lld", config_setting_get_int64(setting));
        return true;
    case CONFIG_TYPE_BOOL:
        text_puts(out, config_setting_get_bool(setting) ? "true" : "false");
        return true;
    default:
        return false;
    }
}

static bool put_items(const config_setting_t *setting, struct text *out)
{
    for (int i = 0; i < config_setting_length(setting); i++) {
        const char *item = config_setting_get_string_elem(setting, i);
        if (!item)
            return false;
        config_list_join(out, item);
    }
    return true;
}

static bool put_members(const config_setting_t *setting, struct text *out)
{
    for (int i = 0; i < config_setting_length(setting); i++) {
        const config_setting_t *member = config_setting_get_elem(setting, (unsigned)i);
        AUTO(text_free) struct text item = {0};
        text_printf(&item, "%s=", config_setting_name(member));
        if (!put_scalar(member, &item))
            return false;
        config_list_join(out, item.ptr);
        explicit_bzero(item.ptr, item.len);
    }
    return true;
}

static bool is_array(const config_setting_t *setting)
{
    return config_setting_is_array(setting) || config_setting_is_list(setting);
}

static bool put_setting(const struct config_key *key, const config_setting_t *setting, struct text *out,
                        struct error *ret_why)
{
    const int type = config_setting_type(setting);
    text_puts(out, "");
    switch (key->kind) {
    case CONFIG_KIND_INT:
        return ((type == CONFIG_TYPE_INT || type == CONFIG_TYPE_INT64) && put_scalar(setting, out)) ||
               wrong_form("a whole number without quotes, such as 64", ret_why);
    case CONFIG_KIND_BOOL:
        return (type == CONFIG_TYPE_BOOL && put_scalar(setting, out)) ||
               wrong_form("true or false, no quotes", ret_why);
    case CONFIG_KIND_STRING:
        return (type == CONFIG_TYPE_STRING && put_scalar(setting, out)) || wrong_form("a string in quotes", ret_why);
    case CONFIG_KIND_DURATION:
        return (type == CONFIG_TYPE_STRING && put_scalar(setting, out)) ||
               wrong_form("a string with a unit, such as \"200ms\", \"3s\" or \"5m\"", ret_why);
    case CONFIG_KIND_SIZE:
        return (type == CONFIG_TYPE_STRING && put_scalar(setting, out)) ||
               wrong_form("a string with a unit, such as \"64KiB\" or \"1MiB\"", ret_why);
    case CONFIG_KIND_LIST:
        return (is_array(setting) && put_items(setting, out)) ||
               wrong_form("a list of strings, such as [ \"a\", \"b\" ]", ret_why);
    case CONFIG_KIND_PAIRS:
        return (is_array(setting) && put_items(setting, out)) ||
               (type == CONFIG_TYPE_GROUP && put_members(setting, out)) ||
               wrong_form("a list of pairs, such as [ \"name=value\" ]", ret_why);
    }
    return false;
}

/* ---- walking the tree ---- */

static bool unknown_key(const struct file *file, const config_setting_t *setting, const char *path,
                        struct error *ret_err)
{
    const struct config_key *meant = config_key_nearest(path);
    error_set(ret_err, ERROR_OPERATOR, "%s:%u: unknown key %.80s%s%s%s", file->path,
              config_setting_source_line(setting), path, meant ? "; did you mean " : "", meant ? meant->path : "",
              meant ? "?" : "");
    return false;
}

static bool assign_setting(const struct file *file, const struct config_key *key, const config_setting_t *setting,
                           struct error *ret_err)
{
    char *where = xasprintf("%s:%u", file->path, config_setting_source_line(setting));
    struct text text = {0};
    struct error why;
    bool ok = put_setting(key, setting, &text, &why);
    if (!ok)
        error_set(ret_err, ERROR_OPERATOR, "%s: %s %s", where, key->path, why.text);
    else
        ok = config_assign(file->loader, key, CONFIG_FROM_FILE, where, text.ptr, ret_err);
    explicit_bzero(text.ptr, text.len);
    text_free(&text);
    free(where);
    return ok;
}

static bool walk_section(const struct file *file, const config_setting_t *section, struct error *ret_err)
{
    const char *section_name = config_setting_name(section);
    for (int i = 0; i < config_setting_length(section); i++) {
        const config_setting_t *setting = config_setting_get_elem(section, (unsigned)i);
        const char *name = config_setting_name(setting);
        const struct config_key *key = config_key_find(slice_of(section_name), slice_of(name));
        if (!key) {
            AUTO(free_ptr) char *path = xasprintf("%s.%s", section_name, name);
            return unknown_key(file, setting, path, ret_err);
        }
        if (!assign_setting(file, key, setting, ret_err))
            return false;
    }
    return true;
}

static bool walk(const struct file *file, const config_t *tree, struct error *ret_err)
{
    const config_setting_t *root = config_root_setting(tree);
    for (int i = 0; i < config_setting_length(root); i++) {
        const config_setting_t *section = config_setting_get_elem(root, (unsigned)i);
        const char *name = config_setting_name(section);
        const bool known = config_key_is_section(slice_of(name));
        if (known && config_setting_is_group(section)) {
            if (!walk_section(file, section, ret_err))
                return false;
        } else if (known) {
            error_set(ret_err, ERROR_OPERATOR, "%s:%u: %s must be a group, %s : { ... };", file->path,
                      config_setting_source_line(section), name, name);
            return false;
        } else if (config_setting_is_group(section) && config_setting_length(section) > 0) {
            const config_setting_t *first = config_setting_get_elem(section, 0);
            AUTO(free_ptr) char *path = xasprintf("%s.%s", name, config_setting_name(first));
            return unknown_key(file, section, path, ret_err);
        } else {
            return unknown_key(file, section, name, ret_err);
        }
    }
    return true;
}

/* ---- the file ---- */

/* libconfig stops at the second of two settings; the first is in one of the groups still open, the last at each
 * level. Returns its line, or 0. */
static unsigned find_first_line(const config_t *tree, const char *text, int line)
{
    for (; line > 1 && *text != '\0'; text++)
        line -= *text == '\n';
    text += strspn(text, " \t{;,");
    AUTO(free_ptr) char *word = xmemdup0(text, strcspn(text, " \t:={"));
    unsigned found = 0;
    const config_setting_t *group = config_root_setting(tree);
    while (group && config_setting_is_group(group)) {
        const config_setting_t *member = config_setting_get_member(group, word);
        found = member ? config_setting_source_line(member) : found;
        const int count = config_setting_length(group);
        group = count > 0 ? config_setting_get_elem(group, (unsigned)count - 1) : NULL;
    }
    return found;
}

static void parse_failed(const config_t *tree, const char *path, const char *text, struct error *ret_err)
{
    const int line = config_error_line(tree);
    const char *why = config_error_text(tree);
    const bool is_duplicate = why && strstr(why, "duplicate");
    const unsigned first = is_duplicate ? find_first_line(tree, text, line) : 0;
    if (first > 0)
        error_set(ret_err, ERROR_OPERATOR, "%s:%d: duplicate key, first set in line %u", path, line, first);
    else
        error_set(ret_err, ERROR_OPERATOR, "%s:%d: %s", path, line, why ? why : "cannot be parsed");
}

/* Overwrites every string of the tree, which libconfig would free as it is. */
static void wipe_tree(const config_setting_t *setting)
{
    if (config_setting_type(setting) == CONFIG_TYPE_STRING) {
        const char *text = config_setting_get_string(setting);
        char *writable;
        memcpy(&writable, &text, sizeof writable);
        explicit_bzero(writable, strlen(writable));
    }
    for (int i = 0; config_setting_is_aggregate(setting) && i < config_setting_length(setting); i++)
        wipe_tree(config_setting_get_elem(setting, (unsigned)i));
}

/* A secret in the file, of whatever program, must be guarded like a secret's own file. */
static bool check_guard(const struct file *file, const struct stat *st, struct error *ret_err)
{
    for (size_t i = 0; i < CONFIG_KEY_COUNT; i++) {
        if (file->loader->origins[i].source != CONFIG_FROM_FILE ||
            !config_value_is_secret(&config_keys[i], file->loader->config))
            continue;
        struct error why;
        if (secret_is_guarded(st, file->path, &why))
            return true;
        error_set(ret_err, ERROR_OPERATOR, "%s: %s", config_keys[i].path, why.text);
        return false;
    }
    return true;
}

/* libconfig 1.5 leaks the last string of a text that it cannot parse; the leak check of the sanitizers looks away. */
static bool read_tree(config_t *tree, const char *text)
{
#ifdef __SANITIZE_ADDRESS__
    __lsan_disable();
#endif
    const bool ok = config_read_string(tree, text) == CONFIG_TRUE;
#ifdef __SANITIZE_ADDRESS__
    __lsan_enable();
#endif
    return ok;
}

bool config_load_file(struct config_loader *loader, const char *path, struct error *ret_err)
{
    const struct file file = {.loader = loader, .path = path};
    struct stat st;
    AUTO(secret_free_ptr) char *text = file_read(path, CONFIG_FILE_MAX, &st, ret_err);
    if (!text)
        return false;
    if (*text == '\0') {
        error_set(ret_err, ERROR_OPERATOR, "%s is empty; leave the option out to use the environment alone", path);
        return false;
    }
    if (!config_text_check(text, path, ret_err))
        return false;
    config_t tree;
    config_init(&tree);
    bool ok = read_tree(&tree, text);
    if (!ok)
        parse_failed(&tree, path, text, ret_err);
    ok = ok && walk(&file, &tree, ret_err) && check_guard(&file, &st, ret_err);
    wipe_tree(config_root_setting(&tree));
    config_destroy(&tree);
    return ok;
}
