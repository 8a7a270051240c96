/* The status page for a browser, made from the metrics alone: any thread may ask for it. */
#ifndef ROOMCLAIM_STATUS_H
#define ROOMCLAIM_STATUS_H

#include "common/config.h"

/* Returns owned HTML. Borrows config, which must live as long as pages are asked for. */
char *status_page(const struct config *config) MUST_CHECK;

#endif
