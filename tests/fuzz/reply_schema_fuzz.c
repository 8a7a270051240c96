/* Fuzz target: any text against the built-in schema and against none, and any bytes as a schema.
 *
 * Input: a schema, a byte 0xFF, a text; without that byte all of it is the text. What must hold: what we call strict
 * JSON is JSON to json-c too and comes back the same after it was written; an error has the right class and one line of
 * words.
 */
#include "common/alloc.h"
#include "consumer/json_text.h"
#include "consumer/prompt.h"
#include "consumer/reply_schema.h"
#include "tests/fuzz/fuzz.h"

static bool check(struct slice schema_json, struct slice text)
{
    struct error err = {0};
    struct reply_schema *schema = reply_schema_new(schema_json, &err);
    if (!schema) {
        HOLDS(err.class == ERROR_OPERATOR && err.text[0]);
        return false;
    }
    const bool fits = reply_schema_check(schema, text, &err);
    HOLDS(fits || (err.class == ERROR_REJECT && err.text[0]));
    HOLDS(!strstr(err.text, "json-c refuses"));
    struct reply_schema *again = reply_schema_new(slice_of(reply_schema_json(schema)), NULL);
    HOLDS(again && reply_schema_check(again, text, NULL) == fits);
    reply_schema_free(again);
    reply_schema_free(schema);
    return fits;
}

static void check_strict(struct slice text)
{
    AUTO(json_object_release) struct json_object *first = NULL;
    AUTO(json_object_release) struct json_object *second = NULL;
    HOLDS(!memchr(text.ptr, '\0', text.len));
    HOLDS(json_text_read(text, JSON_GRAMMAR, &first, NULL));
    const char *written = json_object_to_json_string_ext(first, JSON_C_TO_STRING_PLAIN);
    HOLDS(json_text_read(slice_of(written), JSON_STORABLE, &second, NULL));
    HOLDS(json_object_equal(first, second));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    const char *bytes = (const char *)data, *mark = size ? memchr(bytes, 0xFF, size) : NULL;
    const size_t before = mark ? (size_t)(mark - bytes) : 0;
    const struct slice text = mark ? (struct slice){mark + 1, size - before - 1} : (struct slice){bytes, size};
    if (mark)
        check((struct slice){bytes, before}, text);
    if (check(SLICE("{}"), text))
        check_strict(text);
    check(slice_of(prompt_default_schema), text);
    return 0;
}
