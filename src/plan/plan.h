/*-------------------------------------------------------------------------
 *
 * plan.h
 *		Two catalogs -> a list of table loads, and everything that is wrong.
 *
 *-------------------------------------------------------------------------
 */
#ifndef FTM_PLAN_H
#define FTM_PLAN_H

#include "ids/rewrite.h"
#include "schema/catalog.h"
#include "schema/scope.h"

/* How a table's rows get into the target. */
typedef enum LoadMethod
{
	LOAD_FAST,					/* new relfilenode, indexes off, FREEZE */
	LOAD_PLAIN,					/* CopyFrom into the table as it is:
								 * partitioned roots, other access methods */
	LOAD_REFUSED				/* rows are kept elsewhere, by an extension or
								 * in a foreign table */
} LoadMethod;

/* Why a column is rewritten; also ftm_user_column.origin. */
typedef enum UserColumnOrigin
{
	ORIGIN_NONE,
	ORIGIN_FOREIGN_KEY,
	ORIGIN_VALUES,
	ORIGIN_MANUAL
} UserColumnOrigin;

typedef struct PlanColumn
{
	CatalogColumn *source;
	CatalogColumn *target;
	bool		generated;		/* generated on the target: not copied */
	bool		type_differs;	/* a lossless pair of different types */
	RewriteMode mode;
	RewriteMode count;			/* of a column that is kept: how ids in it are
								 * counted; REWRITE_KEEP if they are not, since
								 * there can be none, or have been decided about */
	bool		counts_gone;	/* what is counted are ids of users who are gone,
								 * in a column of user ids that stay */
	bool		unmapped_is_error;
	UserColumnOrigin origin;
	char	   *origin_detail;	/* "foreign key to auth.users", ... */
} PlanColumn;

typedef struct PlanTable
{
	CatalogTable *source;
	CatalogTable *target;
	char	   *name;			/* the target's qualified name: the table's name
								 * in every result and state table */
	int			level;			/* 0: refers to no other table of the plan;
								 * tables in a cycle share a level */
	bool		binary;
	LoadMethod	method;
	bool		needs_others;	/* storing a row runs code of the schema, which may
								 * read other tables: these come first */
	bool		postpones;		/* CHECK constraints, indexes or statistics are
								 * left to the end of the run */
	List	   *notes;			/* char *: why text, why plain, warnings */
	List	   *columns;		/* of PlanColumn, in the source's order */
	double		seconds;		/* estimate, 50 % added; < 0 if not measured */
	char	   *copy_sql;		/* COPY (SELECT ...) TO STDOUT ... */
	int			copy_query_length;	/* of copy_sql up to the closing ")" */
	uint64		fingerprint;	/* of relation, columns and decisions: a loaded
								 * table whose plan has another fingerprint is
								 * loaded again */
} PlanTable;

/* What a finding is about; each topic is a check of the preflight. */
typedef enum PlanTopic
{
	PLAN_SOURCE_TABLES,			/* may they be read? */
	PLAN_TARGET_TABLES,			/* may they be loaded? */
	PLAN_SCHEMA,				/* do both ends fit together? */
	PLAN_TRIGGERS,
	PLAN_SEQUENCES,
	PLAN_USER_COLUMNS
} PlanTopic;

/* Something that is wrong, or worth knowing. */
typedef struct PlanFinding
{
	PlanTopic	topic;
	char	   *detail;			/* what it is: a sentence that names the object */
	char	   *hint;			/* what to do about it: the rest */
} PlanFinding;

/* What a call says about user ids.  No policy at all: all NULL. */
typedef struct UserIdPolicy
{
	const char *unmapped;		/* ids that the user map lacks: "error", "keep" or
								 * NULL (as ftm_user_column says) */
	const char *undecided;		/* columns that may hold ids, of which nobody has
								 * decided: "error" (a problem of the plan),
								 * "keep" (a warning) or NULL (none) */
	const char *ids;			/* "map", "keep" (they stay as they are) or NULL
								 * (as the last run from the source says) */
} UserIdPolicy;

typedef struct MigrationPlan
{
	Catalog    *source;
	Catalog    *target;
	List	   *tables;			/* of PlanTable, largest first */
	List	   *foreign_keys;	/* of CatalogForeignKey (target) that refer to
								 * or from a table of the plan, partitions'
								 * children included */
	List	   *sequences;		/* of PlanSequence */
	bool		ids_stay;		/* nothing is rewritten: users keep their ids */
	bool		counts_ids;		/* some column of it does, see PlanColumn */
	List	   *unmatched;		/* of CatalogTable (source): in the scope, but
								 * without a counterpart */
	List	   *problems;		/* of PlanFinding: what makes a run impossible */
	List	   *warnings;		/* of PlanFinding */
} MigrationPlan;

typedef struct PlanSequence
{
	CatalogSequence *source;
	CatalogSequence *target;
} PlanSequence;

/*
 * Build the plan for scope: reads the source's catalog over source and the
 * target's through SPI, matches them, finds user-id columns, chooses formats.
 * Never fails for what it finds, but collects it in problems; errors are only
 * those of reading.  include/exclude patterns that match nothing are an error.
 * Result in the current memory context.  Holds no lock on a user table afterwards.
 */
extern MigrationPlan *ftm_plan_build(const Scope *scope,
									 SourceConnection *source,
									 const UserIdPolicy *policy);

/*
 * The same with a source that has been asked for its catalog: the target's is
 * read while the source answers the rest.
 */
extern MigrationPlan *ftm_plan_build_asked(const Scope *scope,
										   CatalogReader *source,
										   const UserIdPolicy *policy);

/* The same for a catalog of the source that has been read, or kept. */
extern MigrationPlan *ftm_plan_build_for(const Scope *scope, Catalog *source,
										 const UserIdPolicy *policy);

/*
 * Add to the plan's problems or warnings.  The format is two sentences, with
 * two spaces between them: what is wrong, and what to do about it.
 */
extern void ftm_plan_problem(MigrationPlan *plan, PlanTopic topic,
							 const char *format,...)
			pg_attribute_printf(3, 4);
extern void ftm_plan_warning(MigrationPlan *plan, PlanTopic topic,
							 const char *format,...)
			pg_attribute_printf(3, 4);

/* Either, by is_problem. */
extern void ftm_plan_finding(MigrationPlan *plan, bool is_problem,
							 PlanTopic topic, const char *format,
							 va_list args) pg_attribute_printf(4, 0);

/* Both sentences of a finding. */
extern char *ftm_plan_finding_text(const PlanFinding *finding);

/* Tables of the plan by the OID of either end, NULL if not in the plan. */
extern PlanTable *ftm_plan_table_of_source(const MigrationPlan *plan, Oid oid);
extern PlanTable *ftm_plan_table_of_target(const MigrationPlan *plan, Oid oid);

/* The OIDs of the plan's tables on one end, as the text of an SQL array. */
extern char *ftm_plan_oids(const MigrationPlan *plan, bool source);

/* Column of a table of the plan by name, NULL if it has none. */
extern PlanColumn *ftm_plan_column(const PlanTable *table, const char *name);

/* Report problems, then warnings, as WARNING; then totals, as NOTICE. */
extern void ftm_plan_report(const MigrationPlan *plan);

/*
 * Estimate seconds per table from sizes and a measured sample of the source
 * (at most about two seconds of reading).
 */
extern void ftm_plan_estimate(MigrationPlan *plan, SourceConnection *source);

/* "id", "embedded", "keep" for a mode of the rewriter. */
extern const char *ftm_plan_mode_name(RewriteMode mode);

#endif							/* FTM_PLAN_H */
