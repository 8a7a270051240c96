/* Names of tables and columns: read as SQL reads them, and written so that nothing can be hidden in them. Pure. */
#ifndef ROOMCLAIM_IDENTIFIER_H
#define ROOMCLAIM_IDENTIFIER_H

#include "common/base.h"
#include "common/error.h"
#include "common/text.h"

enum { IDENTIFIER_SIZE = 64 }; /* Postgres cuts names at 63 bytes */

struct table_name {
    char schema[IDENTIFIER_SIZE]; /* "" when none is given: the search_path decides */
    char name[IDENTIFIER_SIZE];
};

/* Reads table or schema.table. What stands in double quotes is taken as it is, the rest is folded to lower case as
 * Postgres folds it. False with class OPERATOR when it is no name, or longer than Postgres keeps. */
bool identifier_parse(const char *text, struct table_name *ret_name, struct error *ret_err) MUST_CHECK;

/* Appends "name", a quote inside doubled. */
void identifier_quote(const char *name, struct text *out);
/* The same without quotes where Postgres would read the bare name alike; for people, as keywords are not known here. */
void identifier_show(const char *name, struct text *out);
/* Appends what stands between the quotes of an SQL string. */
void identifier_escape(const char *text, struct text *out);

#endif
