/*-------------------------------------------------------------------------
 *
 * target.c
 *		SQL in the target database, through SPI, under pinned settings.
 *
 * A caller's settings must never bend a migration: names are resolved in
 * pg_catalog only, and values are written in one form whatever ALTER ROLE or
 * ALTER DATABASE say.  Nothing unqualified in the extension's SQL refers to
 * anything but pg_catalog.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "catalog/pg_type.h"
#include "executor/executor.h"
#include "executor/spi.h"
#include "miscadmin.h"
#include "utils/acl.h"
#include "utils/builtins.h"
#include "utils/guc.h"
#include "utils/lsyscache.h"
#include "utils/memutils.h"

#include "extension.h"
#include "target.h"

/* Where ftm_target_scan()'s statement sends its rows. */
typedef struct ScanReceiver
{
	DestReceiver pub;
	TargetReceive receive;
	void	   *arg;
	MemoryContext context;		/* reset for each row */
	FmgrInfo   *output;			/* of each column's type */
	char	  **values;
} ScanReceiver;

/*
 * The settings that decide how values are read and written.  source.c sets
 * the same on the other end.
 */
static const struct
{
	const char *name;
	const char *value;
}			pinned_settings[] =
{
	{"search_path", "pg_catalog, pg_temp"},
	{"row_security", "off"},
	{"datestyle", "ISO, YMD"},
	{"intervalstyle", "postgres"},
	{"extra_float_digits", "3"},
	{"timezone", "UTC"},
	{"bytea_output", "hex"},
	{"xmloption", "content"},
	{"lc_monetary", "C"},
	{"lc_numeric", "C"},
	{"quote_all_identifiers", "off"},
};

static void
apply_settings(GucAction action)
{
	for (int i = 0; i < (int) lengthof(pinned_settings); i++)
		(void) set_config_option(pinned_settings[i].name,
								 pinned_settings[i].value,
								 PGC_USERSET, PGC_S_SESSION,
								 action, true, 0, false);
}

int
ftm_target_pin_settings(void)
{
	int			nestlevel = NewGUCNestLevel();

	apply_settings(GUC_ACTION_SAVE);
	return nestlevel;
}

void
ftm_target_pin_session(void)
{
	apply_settings(GUC_ACTION_SET);
}

void
ftm_target_restore(int nestlevel)
{
	AtEOXact_GUC(false, nestlevel);
}

/*
 * Copy SPI's current result as text into context.
 */
static RowSet *
copy_result(MemoryContext context)
{
	MemoryContext old = MemoryContextSwitchTo(context);
	RowSet	   *rows = palloc0(sizeof(RowSet));

	if (SPI_tuptable != NULL)
	{
		TupleDesc	desc = SPI_tuptable->tupdesc;

		rows->nrows = (int) SPI_processed;
		rows->ncolumns = desc->natts;
		rows->values = palloc_extended(sizeof(char *) * Max(1, (Size) rows->nrows * rows->ncolumns),
									   MCXT_ALLOC_HUGE);
		for (int row = 0; row < rows->nrows; row++)
		{
			CHECK_FOR_INTERRUPTS();
			for (int column = 0; column < rows->ncolumns; column++)
			{
				/* palloc'd in the current context */
				char	   *value = SPI_getvalue(SPI_tuptable->vals[row], desc,
												 column + 1);

				rows->values[row * rows->ncolumns + column] = value;
			}
		}
	}
	MemoryContextSwitchTo(old);
	return rows;
}

RowSet *
ftm_target_query(const char *sql, int nparams, const char *const *params)
{
	MemoryContext context = CurrentMemoryContext;
	Oid		   *types = palloc(sizeof(Oid) * Max(1, nparams));
	Datum	   *values = palloc0(sizeof(Datum) * Max(1, nparams));
	char	   *nulls = palloc(Max(1, nparams));
	RowSet	   *rows;
	int			nestlevel;
	int			result;

	for (int i = 0; i < nparams; i++)
	{
		types[i] = TEXTOID;
		nulls[i] = params[i] == NULL ? 'n' : ' ';
		if (params[i] != NULL)
			values[i] = CStringGetTextDatum(params[i]);
	}

	nestlevel = ftm_target_pin_settings();
	if (SPI_connect() != SPI_OK_CONNECT)
		elog(ERROR, "SPI_connect failed");
	result = SPI_execute_with_args(sql, nparams, types, values, nulls,
								   false, 0);
	if (result < 0)
		elog(ERROR, "SPI_execute_with_args failed: %s",
			 SPI_result_code_string(result));
	rows = copy_result(context);
	SPI_finish();
	ftm_target_restore(nestlevel);
	return rows;
}

RowSet *
ftm_target_query_as_owner(const char *sql, int nparams,
						  const char *const *params)
{
	RowSet	   *rows;
	Oid			userid;
	int			security_context;

	/* An error resets both at the abort of the (sub)transaction. */
	GetUserIdAndSecContext(&userid, &security_context);
	SetUserIdAndSecContext(ftm_extension_owner(),
						   security_context | SECURITY_LOCAL_USERID_CHANGE);
	rows = ftm_target_query(sql, nparams, params);
	SetUserIdAndSecContext(userid, security_context);
	return rows;
}

static void
scan_startup(DestReceiver *self, int operation pg_attribute_unused(),
			 TupleDesc desc)
{
	ScanReceiver *receiver = (ScanReceiver *) self;

	receiver->output = palloc(sizeof(FmgrInfo) * desc->natts);
	receiver->values = palloc(sizeof(char *) * desc->natts);
	for (int i = 0; i < desc->natts; i++)
	{
		Oid			function;
		bool		is_varlena;

		getTypeOutputInfo(TupleDescAttr(desc, i)->atttypid,
						  &function, &is_varlena);
		fmgr_info(function, &receiver->output[i]);
	}
}

static bool
scan_receive(TupleTableSlot *slot, DestReceiver *self)
{
	ScanReceiver *receiver = (ScanReceiver *) self;
	MemoryContext old = MemoryContextSwitchTo(receiver->context);

	slot_getallattrs(slot);
	for (int i = 0; i < slot->tts_tupleDescriptor->natts; i++)
		receiver->values[i] = slot->tts_isnull[i] ? NULL :
			OutputFunctionCall(&receiver->output[i], slot->tts_values[i]);
	receiver->receive(receiver->arg, receiver->values);
	MemoryContextSwitchTo(old);
	MemoryContextReset(receiver->context);
	return true;
}

/* Everything the receiver has is in a memory context. */
static void
scan_shutdown(DestReceiver *self pg_attribute_unused())
{
}

void
ftm_target_scan(const char *sql, TargetReceive receive, void *arg)
{
	ScanReceiver receiver = {0};
	SPIExecuteOptions options = {0};
	int			nestlevel;
	int			result;

	receiver.pub.receiveSlot = scan_receive;
	receiver.pub.rStartup = scan_startup;
	receiver.pub.rShutdown = scan_shutdown;
	receiver.pub.rDestroy = scan_shutdown;
	receiver.pub.mydest = DestNone; /* not SPI's own, whose rows it counts */
	receiver.receive = receive;
	receiver.arg = arg;
	receiver.context = AllocSetContextCreate(CurrentMemoryContext,
											 "ftmigrate scanned row",
											 ALLOCSET_DEFAULT_SIZES);

	/* Read only: the active snapshot, no new one. */
	options.read_only = true;
	options.dest = &receiver.pub;

	nestlevel = ftm_target_pin_settings();
	if (SPI_connect() != SPI_OK_CONNECT)
		elog(ERROR, "SPI_connect failed");
	result = SPI_execute_extended(sql, &options);
	if (result < 0)
		elog(ERROR, "SPI_execute_extended failed: %s",
			 SPI_result_code_string(result));
	SPI_finish();
	ftm_target_restore(nestlevel);
	MemoryContextDelete(receiver.context);
}

char *
ftm_target_oid_array(const List *oids)
{
	StringInfoData text;
	ListCell   *lc;

	initStringInfo(&text);
	appendStringInfoChar(&text, '{');
	foreach(lc, oids)
		appendStringInfo(&text, "%s%u",
						 foreach_current_index(lc) > 0 ? "," : "",
						 lfirst_oid(lc));
	appendStringInfoChar(&text, '}');
	return text.data;
}

bool
ftm_target_may_become_replica(void)
{
	return superuser() ||
		pg_parameter_aclcheck("session_replication_role", GetUserId(),
							  ACL_SET) == ACLCHECK_OK;
}
