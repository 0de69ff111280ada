/*-------------------------------------------------------------------------
 *
 * target_error.c
 *		What to do about an error of the target's server.
 *
 * The server says what is wrong with a row, and cannot know that the row has
 * come from a source whose schema is another.  An error that has a hint
 * already keeps it.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "storage/proc.h"

#include "base/target_error.h"

/* What an error must be about for an entry to speak of it. */
typedef enum ErrorSubject
{
	ABOUT_ANYTHING,
	ABOUT_DOMAIN,				/* it names a type */
	ABOUT_CONSTRAINT,			/* it names a constraint */
	ABOUT_PARTITION				/* it names neither: no partition for a row */
} ErrorSubject;

#define CALL_AGAIN	"  Then call the function again: what is complete is kept."

static const struct
{
	int			sqlstate;
	ErrorSubject subject;
	const char *hint;
}			hints[] =
{
	{ERRCODE_UNIQUE_VIOLATION, ABOUT_ANYTHING,
	"The source has rows that this unique index of the target does not allow: check \"definitions\" of ftm_check() says whether the source has the index, too.  Mend the rows there, or drop the index until that is done." CALL_AGAIN},
	{ERRCODE_EXCLUSION_VIOLATION, ABOUT_ANYTHING,
	"The source has rows that this exclusion constraint of the target does not allow: check \"definitions\" of ftm_check() says whether the source has it, too.  Mend the rows there, or drop the constraint until that is done." CALL_AGAIN},
	{ERRCODE_CHECK_VIOLATION, ABOUT_DOMAIN,
	"The source has values that the domain of the target does not allow.  Mend them there, or drop the domain's constraint until that is done." CALL_AGAIN},
	{ERRCODE_CHECK_VIOLATION, ABOUT_CONSTRAINT,
	"The source has rows that this constraint of the target does not allow: check \"definitions\" of ftm_check() says whether the source has it, too.  Mend the rows there, or drop the constraint until that is done." CALL_AGAIN},
	{ERRCODE_CHECK_VIOLATION, ABOUT_PARTITION,
	"Create a partition for such rows, or a default partition." CALL_AGAIN},
	{ERRCODE_NOT_NULL_VIOLATION, ABOUT_ANYTHING,
	"The source has nulls in this column.  Fill them there, or drop NOT NULL in the target until that is done." CALL_AGAIN},
	{ERRCODE_FOREIGN_KEY_VIOLATION, ABOUT_ANYTHING,
	"Load the tables that the rows refer to as well, or drop the foreign key in the target." CALL_AGAIN},
	{ERRCODE_UNTRANSLATABLE_CHARACTER, ABOUT_ANYTHING,
	"The value has a character that the target's type or encoding cannot hold: jsonb knows no \\u0000, json keeps it.  Mend the value in the source, or give the column the source's type." CALL_AGAIN},
	{ERRCODE_CHARACTER_NOT_IN_REPERTOIRE, ABOUT_ANYTHING,
	"The value is not valid in the source's own encoding.  Mend it there." CALL_AGAIN},
	{ERRCODE_INVALID_TEXT_REPRESENTATION, ABOUT_ANYTHING,
	"The target's type does not take this value of the source.  Give the column the source's type." CALL_AGAIN},
	{ERRCODE_NUMERIC_VALUE_OUT_OF_RANGE, ABOUT_ANYTHING,
	"The target's type does not take this value of the source.  Give the column the source's type." CALL_AGAIN},
	{ERRCODE_STRING_DATA_RIGHT_TRUNCATION, ABOUT_ANYTHING,
	"The target's type does not take this value of the source.  Give the column the source's type." CALL_AGAIN},
	{ERRCODE_PROGRAM_LIMIT_EXCEEDED, ABOUT_ANYTHING,
	"The row or its key is larger than the server allows: rows of more than 1 GB and keys of more than a third of a page cannot be moved.  Shorten the value in the source, or leave the table out with exclude."},
	{ERRCODE_OUT_OF_MEMORY, ABOUT_ANYTHING,
	"If one row has more than 1 GB, it cannot be moved: shorten it in the source, or leave the table out with exclude.  Otherwise lower ftmigrate.workers or maintenance_work_mem." CALL_AGAIN},
	{ERRCODE_DISK_FULL, ABOUT_ANYTHING,
	"Make room in the target's file system; check \"disk space\" of ftm_check() says how much is needed." CALL_AGAIN},
};

static ErrorSubject
subject_of(const ErrorData *error)
{
	return error->datatype_name != NULL ? ABOUT_DOMAIN :
		error->constraint_name != NULL ? ABOUT_CONSTRAINT : ABOUT_PARTITION;
}

const char *
ftm_target_error_hint(const ErrorData *error)
{
	for (int i = 0; i < (int) lengthof(hints); i++)
	{
		if (hints[i].sqlstate == error->sqlerrcode &&
			(hints[i].subject == ABOUT_ANYTHING ||
			 hints[i].subject == subject_of(error)))
			return hints[i].hint;
	}
	return NULL;
}

void
ftm_target_error_timeout_callback(void *arg pg_attribute_unused())
{
	if (StatementTimeout > 0 && geterrcode() == ERRCODE_QUERY_CANCELED)
		errhint("If statement_timeout has ended it, execute SET statement_timeout = 0 first, or call with wait => false.  What is complete is kept.");
}
