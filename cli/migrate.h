/* roomclaim migrate: makes or updates what roomclaim needs in a database. Without --execute it prints the SQL only.
 *
 * A round looks at the database under the lock of migrations, plans everything that is left to do, and runs the first
 * transaction of the plan; rounds go on until a plan is empty. So what is done is never older than what was seen, and a
 * failure leaves whole transactions.
 */
#ifndef ROOMCLAIM_MIGRATE_H
#define ROOMCLAIM_MIGRATE_H

#include "common/config.h"

struct migrate_options {
    bool execute;
    bool bootstrap; /* create the application's table where it is missing */
    bool no_roles;  /* print the SQL of the roles instead of running it */
};

/* Returns the exit code of the process; *ret_err says why it is not EXIT_DONE. */
int migrate_run(const struct config *config, const struct migrate_options *options, struct error *ret_err) MUST_CHECK;

#endif
