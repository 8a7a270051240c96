/* How the functions of schema/ are called and how their answers read: SQL text, parameters, columns. Pure but for
 * libpq's result readers. The contract itself stands in schema/README.md. */
#ifndef ROOMCLAIM_STORE_SQL_H
#define ROOMCLAIM_STORE_SQL_H

#include "consumer/pg.h"
#include "consumer/pg_array.h"
#include "consumer/store.h"

/* The arrays of one batch; borrowed by the queries until they are answered. */
struct batch_sql {
    struct pg_array columns[PG_PARAMS_MAX];
};

void batch_sql_fini(struct batch_sql *sql);

/* Fills *ret_query with op's call for the items. Borrows all of it. */
void batch_sql_build(struct batch_sql *sql, enum store_op op, struct store_item *const *items, size_t count,
                     const char *worker, const char *policy, struct pg_query *ret_query);
/* finish for the rooms of the store batch that was just built with sql. */
void batch_sql_build_finish(struct batch_sql *sql, const char *policy, struct pg_query *ret_query);

/* Fills in each item's answer. False with *ret_err (class OPERATOR) when an element has none, or one we don't know. */
bool batch_sql_read(enum store_op op, const PGresult *rows, struct store_item *const *items, size_t count,
                    struct error *ret_err) MUST_CHECK;
void batch_sql_read_finish(const PGresult *rows, struct store_item *const *items, size_t count);

/* Settings, sweep and summary, in this order. */
void upkeep_sql_build(const char *worker, const char *slots, bool expire, bool everything, const char *policy,
                      struct pg_query ret_queries[3]);
bool upkeep_sql_read_paused(const PGresult *rows);
/* Return owned arrays (free) whose text is borrowed from rows. */
struct sweep_row *upkeep_sql_read_sweep(const PGresult *rows, size_t *ret_count) MUST_CHECK;
struct summary_row *upkeep_sql_read_summary(const PGresult *rows, size_t *ret_count) MUST_CHECK;

/* The settings that travel with each call, as JSON. Returns owned text. */
char *policy_json(const struct config *config, const char *prompt_version) MUST_CHECK;

#endif
