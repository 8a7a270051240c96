/* Does a model's reply fit the JSON schema? Pure; a subset of JSON Schema that is enough for structured output.
 *
 * Keywords: type (one or a list), properties, required, additionalProperties (bool or schema), items, enum, const,
 * minimum, maximum, minLength, maxLength (in code points), minItems, maxItems, title, description (ignored).
 * A schema with any other keyword is refused at start: a check that is not done must not look as if it were.
 */
#ifndef ROOMCLAIM_REPLY_SCHEMA_H
#define ROOMCLAIM_REPLY_SCHEMA_H

#include "common/base.h"
#include "common/error.h"

struct reply_schema;

/* Returns owned, or NULL with *ret_err (class OPERATOR) naming the JSON pointer in the schema. */
struct reply_schema *reply_schema_new(struct slice schema_json, struct error *ret_err) MUST_CHECK;
void reply_schema_free(struct reply_schema *schema);
const char *reply_schema_json(const struct reply_schema *schema); /* borrowed, compact: for the request */

/* True if text is one strict JSON document that fits, without U+0000 and lone surrogates. Otherwise *ret_err (class
 * REJECT) names the JSON pointer in the reply and the rule; it never quotes the reply's text. */
bool reply_schema_check(const struct reply_schema *schema, struct slice text, struct error *ret_err);

#endif
