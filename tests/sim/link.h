/* What lies between a consumer and Postgres: connections that break, requests and answers that are lost or late.
 *
 * It takes the place of consumer/pg.c and consumer/store_sql.c: what store.c batches and pipelines is carried out by
 * the functions of database.h, and store.c sees the same answers and breaks that libpq would give. */
#ifndef ROOMCLAIM_SIM_LINK_H
#define ROOMCLAIM_SIM_LINK_H

#include "process.h"

void link_begin(void);
/* Postgres goes away: its connections break, or nobody hears of it for a while. */
void link_database_away(void);
/* Is one of its connections down, or does it wait for an answer that won't come? */
bool link_troubled(const struct process *p);

#endif
