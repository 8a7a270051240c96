#include "consumer/pg_array.h"

#include "common/alloc.h"

#include <inttypes.h>
#include <stdio.h>

void pg_array_clear(struct pg_array *array)
{
    array->len = 0;
}

void pg_array_fini(struct pg_array *array)
{
    free(array->text);
    *array = (struct pg_array){.text = NULL};
}

static void reserve(struct pg_array *array, size_t more)
{
    const size_t need = array->len + more;
    if (need <= array->size)
        return;
    array->size = MAX(need, MAX(2 * array->size, (size_t)256));
    array->text = xgrow(array->text, array->size, 1);
}

/* Opens the literal or separates from the element before, and makes room for `more` bytes and the closing brace. */
static void begin_element(struct pg_array *array, size_t more)
{
    reserve(array, more + 3);
    array->text[array->len] = array->len == 0 ? '{' : ',';
    array->len++;
}

void pg_array_add_text(struct pg_array *array, struct slice value)
{
    if (value.ptr == NULL) {
        pg_array_add_null(array);
        return;
    }
    begin_element(array, 2 * value.len + 2);
    char *out = array->text + array->len;
    *out++ = '"';
    for (size_t i = 0; i < value.len; i++) {
        if (value.ptr[i] == '"' || value.ptr[i] == '\\')
            *out++ = '\\';
        *out++ = value.ptr[i];
    }
    *out++ = '"';
    array->len = (size_t)(out - array->text);
}

static void add_word(struct pg_array *array, const char *word, size_t len)
{
    begin_element(array, len);
    memcpy(array->text + array->len, word, len);
    array->len += len;
}

void pg_array_add_int(struct pg_array *array, int64_t value)
{
    char digits[24];
    const int len = snprintf(digits, sizeof digits, "%" PRId64, value);
    add_word(array, digits, (size_t)len);
}

void pg_array_add_bool(struct pg_array *array, bool value)
{
    add_word(array, value ? "t" : "f", 1);
}

void pg_array_add_null(struct pg_array *array)
{
    add_word(array, "NULL", 4);
}

const char *pg_array_text(struct pg_array *array)
{
    if (array->len == 0)
        return "{}";
    reserve(array, 2);
    array->text[array->len] = '}';
    array->text[array->len + 1] = '\0';
    return array->text;
}

/* Copies one element from *text to *out (NUL-terminated), and moves both on. False: not an element. */
static bool parse_element(const char **text, char **out, bool *ret_null)
{
    const char *in = *text;
    char *to = *out;
    const bool quoted = *in == '"';
    if (quoted)
        in++;
    while (*in != '\0' && (quoted ? *in != '"' : *in != ',' && *in != '}')) {
        if (*in == '\\' && in[1] != '\0')
            in++;
        *to++ = *in++;
    }
    if (*in == '\0')
        return false;
    *to++ = '\0';
    *ret_null = !quoted && strcmp(*out, "NULL") == 0;
    *text = quoted ? in + 1 : in;
    *out = to;
    return true;
}

/* Most elements that the literal can hold: one more than its commas. */
static size_t element_bound(const char *text)
{
    size_t bound = 1;
    for (const char *p = text; *p != '\0'; p++)
        bound += *p == ',';
    return bound;
}

char **pg_array_parse(const char *text, size_t *ret_count)
{
    if (text[0] != '{')
        return NULL;
    const size_t bound = element_bound(text);
    char **items = xmalloc(bound * sizeof *items + strlen(text) + 1);
    char *out = (char *)(items + bound);
    size_t count = 0;
    const char *in = text + 1;
    while (*in != '}') {
        char *item = out;
        bool null = false;
        if (!parse_element(&in, &out, &null) || (*in != ',' && *in != '}')) {
            free(items);
            return NULL;
        }
        items[count++] = null ? NULL : item;
        if (*in == ',')
            in++;
    }
    *ret_count = count;
    return items;
}
