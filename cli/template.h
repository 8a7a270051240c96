/* SQL with placeholders: @NAME@, a name of capitals and underscores, is replaced by the value of that name.
 *
 * Pure, one pass: what a value contains is not looked at again. The values must be SQL already (quoted, escaped).
 */
#ifndef ROOMCLAIM_TEMPLATE_H
#define ROOMCLAIM_TEMPLATE_H

#include "common/base.h"
#include "common/error.h"
#include "common/text.h"

struct template_value {
    const char *name;
    const char *text;
};

/* Appends the rendered source to out. False, class FATAL, when a placeholder has no value. */
bool template_render(const char *source, const struct template_value *values, size_t count, struct text *out,
                     struct error *ret_err) MUST_CHECK;

#endif
