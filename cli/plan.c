/* Steps of SQL in transactions. */
#include "plan.h"

#include "common/alloc.h"

#include <assert.h>
#include <inttypes.h>

/* Any number that nobody else is likely to use; the same in every version, as it keeps versions apart, too. */
#define LOCK_KEY "5283409175220117"

#define BEGIN_SQL "BEGIN ISOLATION LEVEL READ COMMITTED;\n"
#define LIMITS_SQL "SET LOCAL statement_timeout = '10min';\nSET LOCAL lock_timeout = '5min';\n"
#define LOCK_SQL "SELECT pg_advisory_xact_lock(" LOCK_KEY ");\n"
/* Nothing that others may create objects in is looked through. */
#define PATH_SQL "SET LOCAL search_path = pg_catalog, pg_temp;\n"

void plan_begin(struct plan *plan)
{
    assert(plan->transaction_count < PLAN_STEPS_MAX);
    plan->transactions[plan->transaction_count++] = plan->count;
}

void plan_add(struct plan *plan, char *title, char *sql, const char *when_denied)
{
    assert(plan->count < PLAN_STEPS_MAX && plan->transaction_count > 0);
    plan->steps[plan->count++] = (struct plan_step){.title = title, .sql = sql, .when_denied = when_denied};
}

void plan_clear(struct plan *plan)
{
    for (size_t i = 0; i < plan->count; i++) {
        free(plan->steps[i].title);
        free(plan->steps[i].sql);
    }
    plan->count = 0;
    plan->transaction_count = 0;
}

static size_t transaction_end(const struct plan *plan, size_t transaction)
{
    return transaction + 1 < plan->transaction_count ? plan->transactions[transaction + 1] : plan->count;
}

static void print_transaction(const struct plan *plan, size_t transaction, FILE *out)
{
    (void)fputs(BEGIN_SQL LIMITS_SQL LOCK_SQL PATH_SQL, out);
    for (size_t i = plan->transactions[transaction]; i < transaction_end(plan, transaction); i++)
        (void)fprintf(out, "\n-- %s\n%s", plan->steps[i].title, plan->steps[i].sql);
    (void)fputs("\nCOMMIT;\n", out);
}

void plan_print(const struct plan *plan, FILE *out)
{
    for (size_t i = 0; i < plan->transaction_count; i++) {
        if (plan->transactions[i] == transaction_end(plan, i))
            continue;
        (void)fputs(i > 0 ? "\n" : "", out);
        print_transaction(plan, i, out);
    }
}

int plan_lock(struct database *db, struct error *ret_err)
{
    int code = database_run(db, BEGIN_SQL LIMITS_SQL, ret_err);
    if (code != EXIT_DONE)
        return code;
    AUTO(database_clear) PGresult *rows = NULL;
    code = database_ask(db, "SELECT pg_try_advisory_xact_lock(" LOCK_KEY ")", NULL, 0, &rows, ret_err);
    if (code != EXIT_DONE || strcmp(PQgetvalue(rows, 0, 0), "t") == 0)
        return code;
    (void)fputs("roomclaim: another migration of this database is under way: waiting for it\n", stderr);
    return database_run(db, LOCK_SQL, ret_err);
}

static int run_step(const struct plan_step *step, struct database *db, struct error *ret_err)
{
    struct error err;
    const int code = database_run(db, step->sql, &err);
    if (code == EXIT_DONE)
        return code;
    const bool denied = strcmp(database_sqlstate(db), DATABASE_DENIED) == 0;
    error_set(ret_err, err.class, "%s: not done: %s%s%s", step->title, err.text, denied ? ". " : "",
              denied ? step->when_denied : "");
    return code;
}

int plan_run_first(const struct plan *plan, struct database *db, const char *prefix, struct error *ret_err)
{
    const size_t end = transaction_end(plan, 0);
    int code = database_run(db, PATH_SQL, ret_err);
    for (size_t i = 0; i < end && code == EXIT_DONE; i++)
        code = run_step(&plan->steps[i], db, ret_err);
    if (code == EXIT_DONE)
        code = database_run(db, "COMMIT", ret_err);
    for (size_t i = 0; i < end && code == EXIT_DONE; i++)
        (void)printf("%s%s\n", prefix, plan->steps[i].title);
    (void)fflush(stdout);
    return code;
}
