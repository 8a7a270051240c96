/* The reader walks the bytes once by the grammar and only then lets json-c build the tree. Members named twice are
 * found by counting: the tree then has fewer members than the text.
 */
#include "consumer/json_text.h"

#include "common/utf8.h"

#include <errno.h>
#include <limits.h>
#include <math.h>
#include <stdlib.h>

struct scan {
    const char *start, *at, *end;
    enum json_rules rules;
    unsigned depth;
    size_t members; /* of all objects together */
    const char *why;
};

static bool fail(struct scan *s, const char *why)
{
    s->why = why;
    return false;
}

/* The byte at hand, or -1 at the end. */
static int peek(const struct scan *s)
{
    return s->at < s->end ? (unsigned char)*s->at : -1;
}

static void skip_space(struct scan *s)
{
    while (s->at < s->end && (*s->at == ' ' || *s->at == '\t' || *s->at == '\n' || *s->at == '\r'))
        s->at++;
}

static bool scan_literal(struct scan *s, const char *word)
{
    const size_t len = strlen(word);
    if ((size_t)(s->end - s->at) < len || memcmp(s->at, word, len) != 0)
        return fail(s, "not a JSON value");
    s->at += len;
    return true;
}

/* Returns the four hex digits at hand as a number and steps over them, or -1. */
static int scan_hex4(struct scan *s)
{
    int value = 0;
    for (int i = 0; i < 4; i++, s->at++) {
        const int c = peek(s);
        const int digit = c >= '0' && c <= '9'   ? c - '0'
                          : c >= 'a' && c <= 'f' ? c - 'a' + 10
                          : c >= 'A' && c <= 'F' ? c - 'A' + 10
                                                 : -1;
        if (digit < 0)
            return -1;
        value = value << 4 | digit;
    }
    return value;
}

/* Stands behind the \u of a high surrogate's escape. */
static bool scan_low_surrogate(struct scan *s)
{
    if (s->end - s->at < 2 || s->at[0] != '\\' || s->at[1] != 'u')
        return fail(s, "lone surrogate");
    s->at += 2;
    const int low = scan_hex4(s);
    return (low >= 0xdc00 && low <= 0xdfff) || fail(s, "lone surrogate");
}

static bool scan_unicode_escape(struct scan *s)
{
    const int unit = scan_hex4(s);
    if (unit < 0)
        return fail(s, "\\u without four hex digits");
    if (s->rules == JSON_GRAMMAR)
        return true;
    if (unit == 0)
        return fail(s, "U+0000 in a string");
    if (unit >= 0xdc00 && unit <= 0xdfff)
        return fail(s, "lone surrogate");
    return unit < 0xd800 || unit > 0xdbff || scan_low_surrogate(s);
}

static bool scan_escape(struct scan *s)
{
    s->at++;
    const int c = peek(s);
    if (c <= 0 || !strchr("\"\\/bfnrtu", c))
        return fail(s, "unknown escape in a string");
    s->at++;
    return c != 'u' || scan_unicode_escape(s);
}

static bool is_plain(unsigned char c)
{
    return c >= 0x20 && c < 0x80 && c != '"' && c != '\\';
}

/* One character of a string that is not plain. */
static bool scan_odd_character(struct scan *s)
{
    const int c = peek(s);
    if (c < 0)
        return fail(s, "string without an end");
    if (c < 0x20)
        return fail(s, "raw control character in a string");
    if (c == '\\')
        return scan_escape(s);
    size_t width;
    if (utf8_decode(s->at, (size_t)(s->end - s->at), &width) == UTF8_INVALID)
        return fail(s, "not UTF-8");
    s->at += width;
    return true;
}

static bool scan_string(struct scan *s)
{
    if (peek(s) != '"')
        return fail(s, "expected a string");
    s->at++;
    for (;;) {
        while (s->at < s->end && is_plain((unsigned char)*s->at))
            s->at++;
        if (peek(s) == '"') {
            s->at++;
            return true;
        }
        if (!scan_odd_character(s))
            return false;
    }
}

static bool scan_digits(struct scan *s)
{
    const char *from = s->at;
    while (s->at < s->end && *s->at >= '0' && *s->at <= '9')
        s->at++;
    return s->at > from || fail(s, "a number without digits");
}

/* exponent: where its e stands, or NULL. */
static bool number_is_storable(struct scan *s, const char *number, const char *exponent, bool whole)
{
    const size_t len = (size_t)(s->at - number);
    char copy[JSON_NUMBER_MAX + 1];
    if (len > JSON_NUMBER_MAX)
        return fail(s, "a number that is too long");
    memcpy(copy, number, len);
    copy[len] = '\0';
    if (whole) {
        errno = 0;
        (void)strtoll(copy, NULL, 10);
        return errno == 0 || fail(s, "a whole number beyond 64 bits");
    }
    if (exponent) {
        const long power = strtol(copy + (exponent - number) + 1, NULL, 10);
        if (power > JSON_EXPONENT_MAX || power < -JSON_EXPONENT_MAX)
            return fail(s, "a number out of range");
    }
    return isfinite(strtod(copy, NULL)) || fail(s, "a number out of range");
}

static bool is_number_start(int c)
{
    return c == '-' || (c >= '0' && c <= '9');
}

static bool scan_exponent(struct scan *s)
{
    s->at++;
    if (peek(s) == '+' || peek(s) == '-')
        s->at++;
    return scan_digits(s);
}

static bool scan_number(struct scan *s)
{
    const char *number = s->at, *exponent = NULL;
    bool whole = true;
    if (peek(s) == '-')
        s->at++;
    const bool zero = peek(s) == '0';
    const char *digits = s->at;
    if (!scan_digits(s))
        return false;
    if (zero && s->at - digits > 1)
        return fail(s, "a number that begins with 0");
    if (peek(s) == '.') {
        whole = false;
        s->at++;
        if (!scan_digits(s))
            return false;
    }
    if (peek(s) == 'e' || peek(s) == 'E') {
        whole = false;
        exponent = s->at;
        if (!scan_exponent(s))
            return false;
    }
    return s->rules == JSON_GRAMMAR || number_is_storable(s, number, exponent, whole);
}

static bool scan_value(struct scan *s);

static bool scan_member(struct scan *s)
{
    skip_space(s);
    if (!scan_string(s))
        return false;
    skip_space(s);
    if (peek(s) != ':')
        return fail(s, "expected a colon");
    s->at++;
    s->members++;
    return scan_value(s);
}

/* An object or an array: items by one function, up to the closing bracket. */
static bool scan_items(struct scan *s, char closing, bool (*scan_item)(struct scan *))
{
    s->at++;
    if (++s->depth > JSON_DEPTH_MAX)
        return fail(s, "nested too deep");
    skip_space(s);
    bool more = peek(s) != closing;
    while (more) {
        if (!scan_item(s))
            return false;
        skip_space(s);
        more = peek(s) == ',';
        if (!more && peek(s) != closing)
            return fail(s, "expected a comma or a closing bracket");
        s->at += more;
    }
    s->at++;
    s->depth--;
    return true;
}

static bool scan_value(struct scan *s)
{
    skip_space(s);
    switch (peek(s)) {
    case '{':
        return scan_items(s, '}', scan_member);
    case '[':
        return scan_items(s, ']', scan_value);
    case '"':
        return scan_string(s);
    case 't':
        return scan_literal(s, "true");
    case 'f':
        return scan_literal(s, "false");
    case 'n':
        return scan_literal(s, "null");
    case -1:
        return fail(s, "ends too early");
    default:
        return is_number_start(peek(s)) ? scan_number(s) : fail(s, "not a JSON value");
    }
}

static bool scan_document(struct scan *s)
{
    if (s->end - s->at > INT_MAX / 2)
        return fail(s, "too long");
    if (!scan_value(s))
        return false;
    skip_space(s);
    return s->at == s->end || fail(s, "more text behind the document");
}

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

bool json_text_read(struct slice text, enum json_rules rules, struct json_object **ret_value, struct error *ret_err)
{
    const char *start = text.len ? text.ptr : "";
    struct scan s = {.start = start, .at = start, .end = start + text.len, .rules = rules};
    if (!scan_document(&s)) {
        error_set(ret_err, ERROR_REJECT, "not strict JSON at byte %zu: %s", (size_t)(s.at - s.start), s.why);
        return false;
    }
    struct json_object *value;
    if (!build(text, &value)) {
        error_set(ret_err, ERROR_REJECT, "not strict JSON: json-c refuses it");
        return false;
    }
    if (rules == JSON_STORABLE && count_members(value) != s.members) {
        json_object_put(value);
        error_set(ret_err, ERROR_REJECT, "not strict JSON: an object names a member twice");
        return false;
    }
    *ret_value = value;
    return true;
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
