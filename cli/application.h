/* The application's table as the database has it: found, checked against what the functions need, made where wanted.
 *
 * Only looks; what must be done first (the enum's value, a table of --bootstrap) comes out as SQL for a plan.
 */
#ifndef ROOMCLAIM_APPLICATION_H
#define ROOMCLAIM_APPLICATION_H

#include "cli/binding.h"
#include "cli/database.h"

enum { APPLICATION_TYPE_SIZE = 300, APPLICATION_OID_SIZE = 16 };

struct application {
    const struct config *config; /* borrowed */
    struct table_name table;     /* with its schema once it is found, or to be made */
    bool exists;
    char oid[APPLICATION_OID_SIZE]; /* of the table, when it exists */
    bool has_schema;
    char status_type[APPLICATION_TYPE_SIZE]; /* as SQL; "" when the status is no enum */
    bool has_type;                           /* false: to be made with the table */
    bool lacks_processing, has_dropped;
    struct binding binding; /* owned */
};

/* Looks, inside an open transaction. EXIT_UNAVAILABLE when the database has not what is needed, EXIT_CONFIG when the
 * configured names or condition can't be right. Ends with application_fini, whatever it returned. */
int application_look(struct application *app, const struct config *config, bool bootstrap, struct database *db,
                     struct error *ret_err) MUST_CHECK;
void application_fini(struct application *app);

/* Return owned SQL. */
char *application_enum_sql(const struct application *app) MUST_CHECK;
char *application_bootstrap_sql(const struct application *app) MUST_CHECK;

/* Prints on stderr what will work badly: a look-up without index, two rows for a sid, row-level security. */
int application_warn(const struct application *app, struct database *db, struct error *ret_err) MUST_CHECK;

#endif
