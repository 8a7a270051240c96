/* JSON as bytes: a strict reader in front of json-c, which accepts more than RFC 8259 allows, and a writer of strings.
 *
 * Pure. Nesting is bounded, so that neither this reader nor json-c can run out of stack on bytes from outside.
 */
#ifndef ROOMCLAIM_JSON_TEXT_H
#define ROOMCLAIM_JSON_TEXT_H

#include "common/base.h"
#include "common/error.h"
#include "common/text.h"

#include <json-c/json.h>

enum { JSON_DEPTH_MAX = 32, JSON_NUMBER_MAX = 64, JSON_EXPONENT_MAX = 300 };

enum json_rules {
    /* RFC 8259 and strict UTF-8: one document, no byte order mark. */
    JSON_GRAMMAR,
    /* Also what a jsonb column keeps without a change of meaning: no U+0000, no lone surrogate, no member named twice,
     * whole numbers within int64_t, others at most JSON_NUMBER_MAX characters and an exponent up to JSON_EXPONENT_MAX.
     */
    JSON_STORABLE,
};

/* Borrows text. True: *ret_value is owned (json_object_put) and is NULL for the document null. False: *ret_err says
 * what is wrong at which byte, without quoting the text; its class is REJECT. */
bool json_text_read(struct slice text, enum json_rules rules, struct json_object **ret_value,
                    struct error *ret_err) MUST_CHECK;

/* Appends a JSON string with its quotes. Bytes that are not UTF-8 become U+FFFD each. */
void json_text_put_string(struct text *out, struct slice s);

/* For AUTO locals. */
static inline void json_object_release(struct json_object **value)
{
    json_object_put(*value);
}

#endif
