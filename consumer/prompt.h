/* The prompt: the operator's instructions, and the room's text fenced in its own part. Pure.
 *
 * The instructions may name {{room}}. The text is cut at a limit on a code point's edge and stands between two lines
 * with a nonce that the text can't contain, so that it can't close its own fence. Without instructions of the
 * operator's, a built-in text asks for sentiment, summary and topics.
 */
#ifndef ROOMCLAIM_PROMPT_H
#define ROOMCLAIM_PROMPT_H

#include "common/base.h"
#include "common/error.h"

extern const char prompt_default_instructions[];
extern const char prompt_default_schema[]; /* schema/analysis.schema.json, built in */

/* Return owned text. */
char *prompt_instructions(const char *template_text, const char *room_sid) MUST_CHECK;
/* Columns are joined with a blank line; each is borrowed and may be NULL. nonce: 16 hex digits. *ret_cut says if the
 * limit was reached. */
char *prompt_fence(const char *const *columns, size_t count, const char *nonce, size_t limit, size_t *ret_len,
                   bool *ret_cut) MUST_CHECK;

/* The first 12 hex digits of SHA-256 over instructions and schema. */
enum { PROMPT_VERSION_SIZE = 13 };
void prompt_version(const char *instructions, const char *schema_json, char ret_version[PROMPT_VERSION_SIZE]);

#endif
