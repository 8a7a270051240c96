/* One table of keywords; for each the check of the schema at start and the check of a value. A schema is walked as
 * json-c's tree: it is small, and its order is the order of the checks.
 */
#include "consumer/reply_schema.h"

#include "common/alloc.h"
#include "common/text.h"
#include "consumer/json_text.h"

#include <assert.h>
#include <math.h>

struct reply_schema {
    struct json_object *root;
    char *json;
};

/* The way from the root to a place, innermost first; lives on the stack of the walk. */
struct place {
    const struct place *parent;
    const char *name; /* a member's, or NULL: then index */
    size_t index;
};

/* Appends the JSON pointer. */
static void place_print(const struct place *place, struct text *out)
{
    if (!place)
        return;
    place_print(place->parent, out);
    if (!place->name) {
        text_printf(out, "/%zu", place->index);
        return;
    }
    text_put(out, "/", 1);
    for (const char *c = place->name; *c; c++) {
        if (*c == '~' || *c == '/')
            text_puts(out, *c == '~' ? "~0" : "~1");
        else
            text_put(out, c, 1);
    }
}

enum { POINTER_SHOWN = 200 };

static bool refuse(struct error *err, enum error_class class, const char *what, const struct place *place,
                   const char *rule)
{
    AUTO(text_free) struct text pointer = {0};
    text_put(&pointer, "", 0);
    place_print(place, &pointer);
    size_t shown = MIN(pointer.len, (size_t)POINTER_SHOWN);
    while (shown < pointer.len && shown > 0 && ((unsigned char)pointer.ptr[shown] & 0xC0) == 0x80)
        shown--;
    error_set(err, class, "%s at \"%.*s\": %s", what, (int)shown, pointer.ptr, rule);
    return false;
}

/* The kinds of values, as a bit each. */
#define KIND_TABLE(X)     \
    X(NULL, "null")       \
    X(BOOLEAN, "boolean") \
    X(OBJECT, "object")   \
    X(ARRAY, "array")     \
    X(NUMBER, "number")   \
    X(STRING, "string")   \
    X(INTEGER, "integer")

enum kind {
#define X(id, name) KIND_##id,
    KIND_TABLE(X)
#undef X
        KIND_COUNT
};

static const char *const kind_names[] = {
#define X(id, name) [KIND_##id] = name,
    KIND_TABLE(X)
#undef X
};

/* KIND_COUNT if there is no such kind. */
static enum kind kind_by_name(struct json_object *name)
{
    enum kind kind = KIND_NULL;
    if (!json_object_is_type(name, json_type_string))
        return KIND_COUNT;
    while (kind < KIND_COUNT && strcmp(kind_names[kind], json_object_get_string(name)) != 0)
        kind++;
    return kind;
}

static bool is_whole(double d)
{
    return isfinite(d) && floor(d) == d;
}

static bool is_of_kind(struct json_object *value, enum kind kind)
{
    static const enum json_type types[] = {
        [KIND_NULL] = json_type_null,   [KIND_BOOLEAN] = json_type_boolean, [KIND_OBJECT] = json_type_object,
        [KIND_ARRAY] = json_type_array, [KIND_NUMBER] = json_type_double,   [KIND_STRING] = json_type_string,
        [KIND_INTEGER] = json_type_int,
    };
    const enum json_type type = json_object_get_type(value);
    assert(kind < KIND_COUNT);
    if (kind == KIND_NUMBER)
        return type == json_type_double || type == json_type_int;
    if (kind == KIND_INTEGER && type == json_type_double)
        return is_whole(json_object_get_double(value));
    return type == types[kind];
}

static int compare_numbers(struct json_object *a, struct json_object *b)
{
    if (json_object_is_type(a, json_type_int) && json_object_is_type(b, json_type_int)) {
        const int64_t x = json_object_get_int64(a), y = json_object_get_int64(b);
        return (x > y) - (x < y);
    }
    const double x = json_object_get_double(a), y = json_object_get_double(b);
    return (x > y) - (x < y);
}

/* As JSON Schema has it, 1 equals 1.0; deeper inside json-c's stricter notion is good enough. */
static bool values_equal(struct json_object *a, struct json_object *b)
{
    if (is_of_kind(a, KIND_NUMBER) && is_of_kind(b, KIND_NUMBER))
        return compare_numbers(a, b) == 0;
    return json_object_equal(a, b);
}

static size_t code_points(struct json_object *string)
{
    const char *text = json_object_get_string(string);
    const size_t len = (size_t)json_object_get_string_len(string);
    size_t count = 0;
    for (size_t i = 0; i < len; i++)
        count += ((unsigned char)text[i] & 0xC0) != 0x80;
    return count;
}

/* Members and elements have a name: an element's place carries its index instead. */
static struct place place_in(const struct place *parent, const char *name, size_t index)
{
    return (struct place){.parent = parent, .name = name, .index = index};
}

/* --- the schema's own form: what each keyword's argument must look like --- */

static bool schema_form(struct json_object *schema, const struct place *place, struct error *err);

static bool bad_form(struct error *err, const struct place *place, const char *rule)
{
    return refuse(err, ERROR_OPERATOR, "JSON schema of the reply", place, rule);
}

static bool form_type(struct json_object *arg, const struct place *place, struct error *err)
{
    if (kind_by_name(arg) < KIND_COUNT)
        return true;
    const size_t count = json_object_is_type(arg, json_type_array) ? json_object_array_length(arg) : 0;
    bool known = count > 0;
    for (size_t i = 0; i < count; i++)
        known = known && kind_by_name(json_object_array_get_idx(arg, i)) < KIND_COUNT;
    return known || bad_form(err, place, "not a type, or a list of types");
}

static bool form_properties(struct json_object *arg, const struct place *place, struct error *err)
{
    if (!json_object_is_type(arg, json_type_object))
        return bad_form(err, place, "not an object of schemas");
    json_object_object_foreach(arg, name, schema)
    {
        const struct place member = place_in(place, name, 0);
        if (!schema_form(schema, &member, err))
            return false;
    }
    return true;
}

static bool form_required(struct json_object *arg, const struct place *place, struct error *err)
{
    bool names = json_object_is_type(arg, json_type_array);
    const size_t count = names ? json_object_array_length(arg) : 0;
    for (size_t i = 0; i < count; i++)
        names = names && json_object_is_type(json_object_array_get_idx(arg, i), json_type_string);
    return names || bad_form(err, place, "not a list of names");
}

static bool form_additional(struct json_object *arg, const struct place *place, struct error *err)
{
    return json_object_is_type(arg, json_type_boolean) || schema_form(arg, place, err);
}

static bool form_enum(struct json_object *arg, const struct place *place, struct error *err)
{
    const bool values = json_object_is_type(arg, json_type_array) && json_object_array_length(arg) > 0;
    return values || bad_form(err, place, "not a list of values, or an empty one");
}

static bool form_any(struct json_object *arg UNUSED, const struct place *place UNUSED, struct error *err UNUSED)
{
    return true;
}

static bool form_number(struct json_object *arg, const struct place *place, struct error *err)
{
    return is_of_kind(arg, KIND_NUMBER) || bad_form(err, place, "not a number");
}

static bool form_count(struct json_object *arg, const struct place *place, struct error *err)
{
    const bool count = json_object_is_type(arg, json_type_int) && json_object_get_int64(arg) >= 0;
    return count || bad_form(err, place, "not a whole number of at least 0");
}

static bool form_text(struct json_object *arg, const struct place *place, struct error *err)
{
    return json_object_is_type(arg, json_type_string) || bad_form(err, place, "not a string");
}

/* --- a value against a keyword --- */

/* What one keyword is asked about. */
struct question {
    struct json_object *arg;    /* the keyword's argument */
    struct json_object *schema; /* that it stands in */
    struct json_object *value;
    const struct place *place; /* of the value */
    struct error *err;
};

static bool value_fits(struct json_object *schema, struct json_object *value, const struct place *place,
                       struct error *err);

static bool misfit(const struct question *q, const char *rule)
{
    return refuse(q->err, ERROR_REJECT, "reply", q->place, rule);
}

static bool fits_type(const struct question *q)
{
    if (!json_object_is_type(q->arg, json_type_array))
        return is_of_kind(q->value, kind_by_name(q->arg)) || misfit(q, "another type than the schema's");
    const size_t count = json_object_array_length(q->arg);
    for (size_t i = 0; i < count; i++) {
        if (is_of_kind(q->value, kind_by_name(json_object_array_get_idx(q->arg, i))))
            return true;
    }
    return misfit(q, "none of the schema's types");
}

static bool fits_properties(const struct question *q)
{
    if (!json_object_is_type(q->value, json_type_object))
        return true;
    json_object_object_foreach(q->arg, name, schema)
    {
        struct json_object *member;
        const struct place place = place_in(q->place, name, 0);
        if (json_object_object_get_ex(q->value, name, &member) && !value_fits(schema, member, &place, q->err))
            return false;
    }
    return true;
}

static bool fits_required(const struct question *q)
{
    const size_t count = json_object_is_type(q->value, json_type_object) ? json_object_array_length(q->arg) : 0;
    for (size_t i = 0; i < count; i++) {
        const char *name = json_object_get_string(json_object_array_get_idx(q->arg, i));
        const struct question missing = {.place = &(struct place){.parent = q->place, .name = name}, .err = q->err};
        if (!json_object_object_get_ex(q->value, name, NULL))
            return misfit(&missing, "missing, but required");
    }
    return true;
}

/* An unknown member's name is the model's text: the error names the object that holds it. */
static bool fits_additional(const struct question *q)
{
    struct json_object *known = json_object_object_get(q->schema, "properties");
    if (!json_object_is_type(q->value, json_type_object))
        return true;
    json_object_object_foreach(q->value, name, member)
    {
        const struct place place = place_in(q->place, "*", 0);
        if (json_object_object_get_ex(known, name, NULL)) /* false if known is NULL */
            continue;
        if (json_object_is_type(q->arg, json_type_boolean)) {
            if (!json_object_get_boolean(q->arg))
                return misfit(q, "a member that the schema does not name (additionalProperties)");
        } else if (!value_fits(q->arg, member, &place, q->err)) {
            return false;
        }
    }
    return true;
}

static bool fits_items(const struct question *q)
{
    const size_t count = json_object_is_type(q->value, json_type_array) ? json_object_array_length(q->value) : 0;
    for (size_t i = 0; i < count; i++) {
        const struct place place = place_in(q->place, NULL, i);
        if (!value_fits(q->arg, json_object_array_get_idx(q->value, i), &place, q->err))
            return false;
    }
    return true;
}

static bool fits_enum(const struct question *q)
{
    const size_t count = json_object_array_length(q->arg);
    for (size_t i = 0; i < count; i++) {
        if (values_equal(q->value, json_object_array_get_idx(q->arg, i)))
            return true;
    }
    return misfit(q, "none of the schema's values (enum)");
}

static bool fits_const(const struct question *q)
{
    return values_equal(q->value, q->arg) || misfit(q, "not the schema's value (const)");
}

static bool fits_minimum(const struct question *q)
{
    return !is_of_kind(q->value, KIND_NUMBER) || compare_numbers(q->value, q->arg) >= 0 ||
           misfit(q, "below the schema's minimum");
}

static bool fits_maximum(const struct question *q)
{
    return !is_of_kind(q->value, KIND_NUMBER) || compare_numbers(q->value, q->arg) <= 0 ||
           misfit(q, "above the schema's maximum");
}

static bool at_least(const struct question *q, size_t count)
{
    return count >= (uint64_t)json_object_get_int64(q->arg);
}

static bool at_most(const struct question *q, size_t count)
{
    return count <= (uint64_t)json_object_get_int64(q->arg);
}

static bool fits_min_length(const struct question *q)
{
    return !json_object_is_type(q->value, json_type_string) || at_least(q, code_points(q->value)) ||
           misfit(q, "shorter than the schema's minLength");
}

static bool fits_max_length(const struct question *q)
{
    return !json_object_is_type(q->value, json_type_string) || at_most(q, code_points(q->value)) ||
           misfit(q, "longer than the schema's maxLength");
}

static bool fits_min_items(const struct question *q)
{
    return !json_object_is_type(q->value, json_type_array) || at_least(q, json_object_array_length(q->value)) ||
           misfit(q, "fewer items than the schema's minItems");
}

static bool fits_max_items(const struct question *q)
{
    return !json_object_is_type(q->value, json_type_array) || at_most(q, json_object_array_length(q->value)) ||
           misfit(q, "more items than the schema's maxItems");
}

static bool fits_always(const struct question *q UNUSED)
{
    return true;
}

/* X(keyword, form of its argument, check of a value) */
#define KEYWORD_TABLE(X)                                        \
    X("type", form_type, fits_type)                             \
    X("properties", form_properties, fits_properties)           \
    X("required", form_required, fits_required)                 \
    X("additionalProperties", form_additional, fits_additional) \
    X("items", schema_form, fits_items)                         \
    X("enum", form_enum, fits_enum)                             \
    X("const", form_any, fits_const)                            \
    X("minimum", form_number, fits_minimum)                     \
    X("maximum", form_number, fits_maximum)                     \
    X("minLength", form_count, fits_min_length)                 \
    X("maxLength", form_count, fits_max_length)                 \
    X("minItems", form_count, fits_min_items)                   \
    X("maxItems", form_count, fits_max_items)                   \
    X("title", form_text, fits_always)                          \
    X("description", form_text, fits_always)

struct keyword {
    const char *name;
    bool (*form)(struct json_object *arg, const struct place *place, struct error *err);
    bool (*fits)(const struct question *q);
};

static const struct keyword *keyword_find(const char *name)
{
    static const struct keyword keywords[] = {
#define X(word, form_check, value_check) {.name = (word), .form = (form_check), .fits = (value_check)},
        KEYWORD_TABLE(X)
#undef X
    };
    for (size_t i = 0; i < ARRAY_LEN(keywords); i++) {
        if (strcmp(keywords[i].name, name) == 0)
            return &keywords[i];
    }
    return NULL;
}

static bool schema_form(struct json_object *schema, const struct place *place, struct error *err)
{
    if (!json_object_is_type(schema, json_type_object))
        return bad_form(err, place, "a schema is an object");
    json_object_object_foreach(schema, name, arg)
    {
        const struct keyword *keyword = keyword_find(name);
        const struct place member = place_in(place, name, 0);
        if (!keyword)
            return bad_form(err, &member, "this keyword is not supported");
        if (!keyword->form(arg, &member, err))
            return false;
    }
    return true;
}

static bool value_fits(struct json_object *schema, struct json_object *value, const struct place *place,
                       struct error *err)
{
    json_object_object_foreach(schema, name, arg)
    {
        const struct question q = {.arg = arg, .schema = schema, .value = value, .place = place, .err = err};
        const struct keyword *keyword = keyword_find(name);
        assert(keyword != NULL); /* schema_form has seen to that */
        if (!keyword->fits(&q))
            return false;
    }
    return true;
}

struct reply_schema *reply_schema_new(struct slice schema_json, struct error *ret_err)
{
    struct json_object *root;
    struct error err;
    if (!json_text_read(schema_json, JSON_STORABLE, &root, &err)) {
        error_set(ret_err, ERROR_OPERATOR, "JSON schema of the reply: %s", err.text);
        return NULL;
    }
    if (!schema_form(root, NULL, ret_err)) {
        json_object_put(root);
        return NULL;
    }
    struct reply_schema *schema = xcalloc(1, sizeof *schema);
    schema->root = root;
    schema->json = json_text_print(root);
    return schema;
}

void reply_schema_free(struct reply_schema *schema)
{
    if (!schema)
        return;
    json_object_put(schema->root);
    free(schema->json);
    free(schema);
}

const char *reply_schema_json(const struct reply_schema *schema)
{
    return schema->json;
}

bool reply_schema_check(const struct reply_schema *schema, struct slice text, struct error *ret_err)
{
    AUTO(json_object_release) struct json_object *value = NULL;
    struct error err;
    if (!json_text_read(text, JSON_STORABLE, &value, &err)) {
        error_set(ret_err, ERROR_REJECT, "reply: %s", err.text);
        return false;
    }
    return value_fits(schema->root, value, NULL, ret_err);
}
