/* What a command would do to the database: steps of SQL in transactions. It is printed, or run a transaction at a time.
 *
 * Each transaction holds the advisory lock of migrations, so that two processes never do the same at once.
 */
#ifndef ROOMCLAIM_PLAN_H
#define ROOMCLAIM_PLAN_H

#include "cli/database.h"
#include "common/text.h"

#include <stdio.h>

struct plan_step {
    char *title;             /* owned; one line for people */
    char *sql;               /* owned; complete statements */
    const char *when_denied; /* static: what to do when the role may not do this */
};

enum { PLAN_STEPS_MAX = 64 };

struct plan {
    struct plan_step steps[PLAN_STEPS_MAX];
    size_t count;
    size_t transactions[PLAN_STEPS_MAX]; /* of each, where it begins in steps */
    size_t transaction_count;
};

/* Steps that follow belong to a new transaction. */
void plan_begin(struct plan *plan);
/* Takes title and sql. */
void plan_add(struct plan *plan, char *title, char *sql, const char *when_denied);
void plan_clear(struct plan *plan);

/* Prints SQL that psql can run. */
void plan_print(const struct plan *plan, FILE *out);

/* Opens a transaction and waits for the lock; says so on stderr when it must wait. */
int plan_lock(struct database *db, struct error *ret_err) MUST_CHECK;
/* Runs the first transaction's steps in the open one and commits it; then prints a line for each, behind prefix. A
 * failure leaves the transaction to be rolled back. */
int plan_run_first(const struct plan *plan, struct database *db, const char *prefix, struct error *ret_err) MUST_CHECK;

#endif
