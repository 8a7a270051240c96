/* Postgres' text form of arrays: building them as parameters, reading them from results. Pure.
 *
 * A batch function takes one array a column. A column grows by one element an item, so a batch of n items is built
 * in n steps, each of which appends to every column.
 */
#ifndef ROOMCLAIM_PG_ARRAY_H
#define ROOMCLAIM_PG_ARRAY_H

#include "common/base.h"

struct pg_array {
    char *text; /* owned, NUL-terminated after pg_array_text */
    size_t len, size;
};

void pg_array_clear(struct pg_array *array); /* keeps the memory for the next batch */
void pg_array_fini(struct pg_array *array);

/* Append one element. Text must be without U+0000; ptr NULL appends NULL. */
void pg_array_add_text(struct pg_array *array, struct slice value);
void pg_array_add_int(struct pg_array *array, int64_t value);
void pg_array_add_bool(struct pg_array *array, bool value);
void pg_array_add_null(struct pg_array *array);

/* The literal, {} when nothing was added. Borrowed until the array changes. */
const char *pg_array_text(struct pg_array *array);

/* Reads a one-dimensional text[] literal. Returns owned strings (NULL for an SQL NULL), their number in *ret_count, or
 * NULL if the text is no such literal. One free() releases all: strings live behind the pointers. */
char **pg_array_parse(const char *text, size_t *ret_count) MUST_CHECK;

#endif
