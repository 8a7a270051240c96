/* JSON as a tree of json-c's, which by itself accepts more than RFC 8259 allows: common/scan stands in front of it. And
 * a writer of strings.
 *
 * Pure. Nesting is bounded, so that json-c can't run out of stack on bytes from outside.
 */
#ifndef ROOMCLAIM_JSON_TEXT_H
#define ROOMCLAIM_JSON_TEXT_H

#include "common/base.h"
#include "common/error.h"
#include "common/scan.h"
#include "common/text.h"

#include <json-c/json.h>

enum { JSON_DEPTH_MAX = SCAN_DEPTH_MAX };

enum json_rules {
    /* RFC 8259 and strict UTF-8: one document, no byte order mark. */
    JSON_GRAMMAR = SCAN_GRAMMAR,
    /* Also what a jsonb column keeps without a change of meaning: no lone surrogate, no U+0000, no member named twice,
     * numbers within the scanner's bounds. */
    JSON_STORABLE = SCAN_STORABLE,
};

/* Borrows text. True: *ret_value is owned (json_object_put) and is NULL for the document null. False: *ret_err says
 * what is wrong at which byte, without quoting the text; its class is REJECT. */
bool json_text_read(struct slice text, enum json_rules rules, struct json_object **ret_value,
                    struct error *ret_err) MUST_CHECK;

/* Returns the owned text of a tree, without spaces. Borrows value; it can be printed as JSON: no NaN. */
char *json_text_print(struct json_object *value) MUST_CHECK RETURNS_NONNULL;

/* Appends a JSON string with its quotes. Bytes that are not UTF-8 become U+FFFD each. */
void json_text_put_string(struct text *out, struct slice s);

/* For AUTO locals. */
static inline void json_object_release(struct json_object **value)
{
    json_object_put(*value);
}

#endif
