/* What the SQL templates are bound to: the application's table and columns, quoted, as values of placeholders.
 *
 * Pure: the configuration and the table's full name in, SQL out.
 */
#ifndef ROOMCLAIM_BINDING_H
#define ROOMCLAIM_BINDING_H

#include "cli/identifier.h"
#include "cli/template.h"
#include "common/config.h"

/* X(placeholder, what it is replaced by) */
#define BINDING_TABLE(X)                                                       \
    X(TABLE, "the application's table, with its schema")                       \
    X(SCHEMA, "the schema of this table")                                      \
    X(BOUND, "the same as the content of an SQL string, for people")           \
    X(ID, "the column of the primary key")                                     \
    X(ROOM, "the column of the room's sid")                                    \
    X(STATUS, "the column of the status")                                      \
    X(INPUT, "the input columns of alias f as text, separated by commas")      \
    X(READY, "the condition on alias f that the input is complete")            \
    X(SET_RESULT, "the assignment of p.result to the result column, or empty") \
    X(API, "the properties of the functions that roles may call")

enum binding_id {
#define X(id, help) BINDING_##id,
    BINDING_TABLE(X)
#undef X
        BINDING_COUNT
};

struct binding {
    struct template_value values[BINDING_COUNT]; /* each text owned */
};

/* Borrows; table must have its schema. False, class OPERATOR, when a configured text can't stand in a function. */
bool binding_init(struct binding *binding, const struct config *config, const struct table_name *table,
                  struct error *ret_err) MUST_CHECK;
void binding_fini(struct binding *binding);

static inline const char *binding_get(const struct binding *binding, enum binding_id id)
{
    return binding->values[id].text;
}

#endif
