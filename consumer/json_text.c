/* The scanner checks the bytes, and only then json-c builds the tree. Members named twice are found by counting: the
 * tree then has fewer members than the text.
 */
#include "consumer/json_text.h"

#include "common/alloc.h"
#include "common/utf8.h"

#include <limits.h>

static size_t count_members(struct json_object *value)
{
    size_t count = 0;
    if (json_object_is_type(value, json_type_array)) {
        const size_t length = json_object_array_length(value);
        for (size_t i = 0; i < length; i++)
            count += count_members(json_object_array_get_idx(value, i));
    } else if (json_object_is_type(value, json_type_object)) {
        count = (size_t)json_object_object_length(value);
        json_object_object_foreach(value, name, member)
        {
            (void)name;
            count += count_members(member);
        }
    }
    return count;
}

/* Builds the tree of a text that was scanned. Returns false if json-c does not agree that it is JSON. */
static bool build(struct slice text, struct json_object **ret_value)
{
    struct json_tokener *tokener = json_tokener_new_ex(JSON_DEPTH_MAX + 2);
    if (!tokener)
        return false;
    json_tokener_set_flags(tokener, JSON_TOKENER_STRICT | JSON_TOKENER_VALIDATE_UTF8);
    struct json_object *value = json_tokener_parse_ex(tokener, text.ptr, (int)text.len);
    enum json_tokener_error error = json_tokener_get_error(tokener);
    if (error == json_tokener_continue && !value) {
        /* A number or a word that ends with the text: a space tells json-c so. */
        value = json_tokener_parse_ex(tokener, " ", 1);
        error = json_tokener_get_error(tokener);
    }
    json_tokener_free(tokener);
    if (error != json_tokener_success) {
        json_object_put(value);
        return false;
    }
    *ret_value = value;
    return true;
}

static bool refuse(struct error *ret_err, size_t at, const char *why)
{
    error_set(ret_err, ERROR_REJECT, "not strict JSON at byte %zu: %s", at, why);
    return false;
}

static bool check(struct slice text, enum json_rules rules, size_t *ret_members, struct error *ret_err)
{
    if (text.len > INT_MAX / 2)
        return refuse(ret_err, 0, "too long");
    const size_t valid = utf8_valid_length(text);
    if (valid < text.len)
        return refuse(ret_err, valid, "not UTF-8");
    struct scan s;
    scan_init(&s, text);
    s.rules = (enum scan_rules)rules;
    scan_skip(&s);
    if (!scan_finish(&s))
        return refuse(ret_err, (size_t)(s.where - text.ptr), s.why);
    *ret_members = s.members;
    return true;
}

bool json_text_read(struct slice text, enum json_rules rules, struct json_object **ret_value, struct error *ret_err)
{
    struct json_object *value;
    size_t members;
    if (!check(text.len > 0 ? text : SLICE(""), rules, &members, ret_err))
        return false;
    if (!build(text, &value)) {
        error_set(ret_err, ERROR_REJECT, "not strict JSON: json-c refuses it");
        return false;
    }
    if (rules == JSON_STORABLE && count_members(value) != members) {
        json_object_put(value);
        error_set(ret_err, ERROR_REJECT, "not strict JSON: an object names a member twice");
        return false;
    }
    *ret_value = value;
    return true;
}

/* What json-c has no memory for it leaves out, without a word: so the text is read again. */
char *json_text_print(struct json_object *value)
{
    struct json_object *again AUTO(json_object_release) = NULL;
    struct error err;
    const int flags = JSON_C_TO_STRING_PLAIN | JSON_C_TO_STRING_NOSLASHESCAPE;
    const char *text = made(json_object_to_json_string_ext(value, flags));
    if (!json_text_read(slice_of(text), JSON_GRAMMAR, &again, &err) || !json_object_equal(value, again))
        out_of_memory();
    return xstrdup(text);
}

static bool is_plain(unsigned char c)
{
    return c >= 0x20 && c < 0x80 && c != '"' && c != '\\';
}

/* Writes the first character of s, which can't stand in a JSON string as it is. Returns how many bytes it had. */
static size_t put_odd_character(struct text *out, struct slice s)
{
    static const char hex[] = "0123456789abcdef", shorts[] = "btnvfr"; /* 8 to 13; 11 has no short form */
    const unsigned char c = (unsigned char)s.ptr[0];
    if (c == '"' || c == '\\') {
        text_put(out, (const char[]){'\\', (char)c}, 2);
    } else if (c >= 8 && c <= 13 && c != 11) {
        text_put(out, (const char[]){'\\', shorts[c - 8]}, 2);
    } else if (c < 0x20) {
        text_put(out, (const char[]){'\\', 'u', '0', '0', hex[c >> 4], hex[c & 15]}, 6);
    } else {
        size_t width;
        const bool valid = utf8_decode(s.ptr, s.len, &width) != UTF8_INVALID;
        text_put(out, valid ? s.ptr : "\xef\xbf\xbd", valid ? width : 3);
        return width;
    }
    return 1;
}

void json_text_put_string(struct text *out, struct slice s)
{
    size_t at = 0;
    text_put(out, "\"", 1);
    while (at < s.len) {
        const size_t from = at;
        while (at < s.len && is_plain((unsigned char)s.ptr[at]))
            at++;
        text_put(out, s.ptr + from, at - from);
        if (at < s.len)
            at += put_odd_character(out, (struct slice){.ptr = s.ptr + at, .len = s.len - at});
    }
    text_put(out, "\"", 1);
}
