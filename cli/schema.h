/* The SQL that this program carries: numbered migrations, the functions, the roles; and their checksums.
 *
 * A numbered migration runs once in a database and never changes again. Functions and roles are run again whenever
 * their rendered text is another than the one recorded.
 */
#ifndef ROOMCLAIM_SCHEMA_H
#define ROOMCLAIM_SCHEMA_H

#include "cli/binding.h"

struct schema_migration {
    int number; /* from 1, without gaps */
    const char *file;
    const char *sql; /* a template */
};

/* Lines of roomclaim.migration that are no numbered migrations; below 1, so that the largest number is a migration's.
 */
enum { SCHEMA_NUMBER_FUNCTIONS = 0, SCHEMA_NUMBER_ROLES = -1 };

enum { SCHEMA_CHECKSUM_SIZE = 65 };

extern const struct schema_migration schema_migrations[];
extern const size_t schema_migration_count;

/* Append SQL to out; false, class FATAL, when a template does not fit this program. */
bool schema_render(const char *source, const struct binding *binding, struct text *out,
                   struct error *ret_err) MUST_CHECK;
bool schema_render_functions(const struct binding *binding, struct text *out, struct error *ret_err) MUST_CHECK;
bool schema_render_roles(const struct binding *binding, struct text *out, struct error *ret_err) MUST_CHECK;

/* SHA-256 of both texts one behind the other, in hex. more may be "". */
void schema_checksum(const char *sql, const char *more, char ret_hex[SCHEMA_CHECKSUM_SIZE]);

#endif
