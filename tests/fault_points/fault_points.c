/*
 * Counts the statements that functions of schema tasker execute, in PL/pgSQL and in Rust, and lets chosen ones fail before they begin.
 * For tests: built by them, and installed nowhere.
 *
 *   fault_points.plan = '17=53100,40=22012'   the 17th fails with SQLSTATE 53100, the 40th with 22012
 *                       '17=terminate'        the process ends there, as if an administrator had asked for it
 *                       '17=kill'             the process is killed there
 *   show fault_points.counted                 how many were executed since the plan was set
 *   show fault_points.firsts                  the numbers of those that had not been executed before since then
 *
 * PL/pgSQL calls a plugin before every statement (PLpgSQL_plugin in plpgsql.h), tasker_pg before what is like one (plugin in
 * src/process/spi.rs).
 */
#include "postgres.h"

#include <signal.h>

#include "catalog/namespace.h"
#include "fmgr.h"
#include "miscadmin.h"
#include "plpgsql.h"
#include "utils/guc.h"
#include "utils/lsyscache.h"

PG_MODULE_MAGIC;

void _PG_init(void);

static char *plan = NULL;
static int unused_counted = 0;
static char *unused_firsts = NULL;
static long counted = 0;

/* The statements met so far: function (its id, or the place of its file's name) and number (or line) within it. */
#define MOST 8192
static struct
{
	uintptr_t	function;
	unsigned	statement;
} known[MOST];
static int known_count = 0;
static char firsts[16 * MOST];
static size_t firsts_length = 0;

static void
restart(const char *newval, void *extra)
{
	counted = 0;
	known_count = 0;
	firsts_length = 0;
	firsts[0] = '\0';
}

static void
note(uintptr_t function, unsigned statement)
{
	for (int i = 0; i < known_count; i++)
		if (known[i].function == function && known[i].statement == statement)
			return;
	if (known_count == MOST)
		elog(ERROR, "more than %d statements", MOST);
	known[known_count].function = function;
	known[known_count++].statement = statement;
	firsts_length += snprintf(firsts + firsts_length, sizeof(firsts) - firsts_length, "%s%ld",
							  firsts_length == 0 ? "" : ",", counted);
}

static const char *
show_firsts(void)
{
	return firsts;
}

static const char *
show_counted(void)
{
	static char text[32];

	snprintf(text, sizeof(text), "%ld", counted);
	return text;
}

static void
fail(const char *action)
{
	if (strncmp(action, "kill", 4) == 0)
		kill(MyProcPid, SIGKILL);
	if (strncmp(action, "terminate", 9) == 0)
		ereport(FATAL, (errcode(ERRCODE_ADMIN_SHUTDOWN), errmsg("terminated at fault point %ld", counted)));
	if (strlen(action) < 5)
		elog(ERROR, "fault_points.plan cannot be read: \"%s\"", action);
	ereport(ERROR,
			(errcode(MAKE_SQLSTATE(action[0], action[1], action[2], action[3], action[4])),
			 errmsg("fault point %ld", counted)));
}

static void
meet(uintptr_t function, unsigned statement)
{
	const char *point = plan;

	counted++;
	note(function, statement);
	while (point != NULL)
	{
		char	   *action;

		if (strtol(point, &action, 10) == counted && *action == '=')
			fail(action + 1);
		point = strchr(point, ',');
		if (point != NULL)
			point++;
	}
}

static void
before_statement(PLpgSQL_execstate *estate, PLpgSQL_stmt *stmt)
{
	Oid			function = estate->func->fn_oid;

	if (plan != NULL && *plan != '\0' && OidIsValid(function) &&
		get_func_namespace(function) == get_namespace_oid("tasker", true))
		meet(function, stmt->stmtid);
}

static void
before_rust(const char *file, int line)
{
	if (plan != NULL && *plan != '\0')
		meet((uintptr_t) file, line);
}

static PLpgSQL_plugin plugin = {.stmt_beg = before_statement};

void
_PG_init(void)
{
	PLpgSQL_plugin **place = (PLpgSQL_plugin **) find_rendezvous_variable("PLpgSQL_plugin");

	DefineCustomStringVariable("fault_points.plan", "Which statements of schema tasker fail, and how.", NULL, &plan, "",
							   PGC_SUSET, 0, NULL, restart, NULL);
	DefineCustomIntVariable("fault_points.counted", "How many statements were executed since the plan was set.", NULL,
							&unused_counted, 0, 0, 0, PGC_INTERNAL, GUC_NOT_IN_SAMPLE, NULL, NULL, show_counted);
	DefineCustomStringVariable("fault_points.firsts", "Which of them were executed for the first time.", NULL, &unused_firsts,
							   "", PGC_INTERNAL, GUC_NOT_IN_SAMPLE, NULL, NULL, show_firsts);
	*place = &plugin;
	*(void **) find_rendezvous_variable("tasker_pg_before_statement") = before_rust;
}
