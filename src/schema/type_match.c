/*-------------------------------------------------------------------------
 *
 * type_match.c
 *		Can a source column's values become a target column's without loss?
 *
 * Lossless means: every value that the source's type allows goes into the
 * target's type and comes out as the same value, in the same form.  So
 * numeric(5,1) does not go into numeric(6,2) (1.5 would come out as 1.50), nor
 * char(n) into text (its padding would be kept or dropped: either way the
 * application compares another value), nor timestamp into timestamptz (the
 * time zone is not in the data), nor float4 into float8 (0.1 would come out
 * as 0.10000000149011612).
 *
 * (json goes into jsonb all the same, with a remark: who declares that in the
 * target wants exactly that.)
 *
 * In the text path the target's input function reads what the source's output
 * function wrote.  For each pair below that is the same value.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "catalog/pg_type.h"
#include "mb/pg_wchar.h"
#include "miscadmin.h"
#include "utils/builtins.h"

#include "schema/type_match.h"

/* What an obstacle quotes of a definition, in bytes. */
#define MAX_SHOWN_DEFINITION	1000

/* Built-in types whose every value is a value of the other, as text. */
static const struct
{
	const char *source;
	const char *target;
}			wider_types[] =
{
	{"int2", "int4"},
	{"int2", "int8"},
	{"int4", "int8"},
	{"json", "jsonb"},
};

static bool same_type(const CatalogType *source, const CatalogType *target);
static char *shown_definition(const CatalogType *type);
static TypeMatch match_same_type(const CatalogType *source,
								 const CatalogType *target);
static TypeMatch match_other_type(const CatalogType *source,
								  const CatalogType *target);
static bool typmod_fits(const char *name, int32 source, int32 target);
static char *missing_label(const CatalogType *source,
						   const CatalogType *target);
static bool is_builtin(const CatalogType *type, const char *name);
static bool is_unlimited_text(const CatalogType *type);
static int	decimal_digits(const CatalogType *type);

TypeMatch
ftm_type_match(const CatalogType *source, const CatalogType *target)
{
	TypeMatch	match;

	check_stack_depth();

	/* A domain's values are its base type's, on the wire as well. */
	if (source->base != NULL &&
		(target->base == NULL || same_type(source, target)))
	{
		match = ftm_type_match(source->base,
							   target->base != NULL ? target->base : target);
		match.differs |= target->base == NULL;
		return match;
	}

	if (source->is_array && target->is_array)
	{
		match = ftm_type_match(source->element, target->element);

		/* Binary arrays name their element's type, which is checked. */
		if (!same_type(source->element, target->element))
			match.binary = false;
		return match;
	}

	if (same_type(source, target))
		return match_same_type(source, target);
	return match_other_type(source, target);
}

/*
 * The same by name.  An extension's types may live in another schema, since
 * that was chosen when the extension was installed.
 */
static bool
same_type(const CatalogType *source, const CatalogType *target)
{
	if (strcmp(source->name, target->name) != 0)
		return false;
	if (source->extension != NULL && target->extension != NULL)
		return strcmp(source->extension, target->extension) == 0;
	return strcmp(source->schema, target->schema) == 0;
}

/* Each column with the type has the text, so it may not be of any length. */
static char *
shown_definition(const CatalogType *type)
{
	int			length;

	if (type->definition == NULL)
		return "something else";
	length = (int) strlen(type->definition);
	if (length <= MAX_SHOWN_DEFINITION)
		return type->definition;
	return psprintf("%.*s ...",
					pg_mbcliplen(type->definition, length,
								 MAX_SHOWN_DEFINITION),
					type->definition);
}

static TypeMatch
match_same_type(const CatalogType *source, const CatalogType *target)
{
	TypeMatch	match = {0};

	match.binary = source->binary_safe && target->binary_safe;
	match.differs = source->typmod != target->typmod;
	match.lossless = typmod_fits(source->name, source->typmod, target->typmod);
	if (source->typtype == TYPTYPE_ENUM)
	{
		char	   *label = missing_label(source, target);

		match.lossless = label == NULL;
		if (label != NULL)
			match.obstacle = psprintf("the target's type does not have the label %s at its place",
									  quote_literal_cstr(label));
	}
	else if (source->typtype != target->typtype ||
			 (source->definition != NULL &&
			  (target->definition == NULL ||
			   strcmp(source->definition, target->definition) != 0)))
	{
		match.lossless = false;
		match.obstacle = psprintf("the type is %s in the source and %s in the target",
								  shown_definition(source),
								  shown_definition(target));
	}
	return match;
}

static TypeMatch
match_other_type(const CatalogType *source, const CatalogType *target)
{
	TypeMatch	match = {0};

	match.differs = true;

	/* text and varchar are the same bytes in both formats */
	if (is_builtin(source, "text") || is_builtin(source, "varchar"))
	{
		match.lossless = is_unlimited_text(target);
		match.binary = true;
		return match;
	}
	if (source->typtype == TYPTYPE_ENUM ||
		(source->extension != NULL && strcmp(source->extension, "citext") == 0 &&
		 strcmp(source->name, "citext") == 0))
	{
		match.lossless = is_unlimited_text(target);
		return match;
	}
	if (is_builtin(target, "numeric") && decimal_digits(source) > 0)
	{
		int			precision = (target->typmod - VARHDRSZ) >> 16;
		int			scale = (target->typmod - VARHDRSZ) & 0x7ff;

		match.lossless = target->typmod == -1 ||
			(scale == 0 && precision >= decimal_digits(source));
		return match;
	}
	for (int i = 0; i < (int) lengthof(wider_types); i++)
	{
		if (is_builtin(source, wider_types[i].source) &&
			is_builtin(target, wider_types[i].target))
			match.lossless = true;
	}
	if (match.lossless && is_builtin(source, "json"))
		match.remark = "white space, the order of keys and all but the last of equal keys are not";
	return match;
}

/*
 * Does every value of name(source) fit name(target) unchanged?  Typmods as in
 * pg_attribute, -1 for none.
 */
static bool
typmod_fits(const char *name, int32 source, int32 target)
{
	static const char *const upper_bounds[] = {
		"varchar", "varbit", "time", "timetz", "timestamp", "timestamptz"
	};

	if (source == target || target == -1)
		return true;
	if (strcmp(name, "numeric") == 0)
		return source != -1 &&
			((source - VARHDRSZ) & 0x7ff) == ((target - VARHDRSZ) & 0x7ff) &&
			((source - VARHDRSZ) >> 16) <= ((target - VARHDRSZ) >> 16);
	for (int i = 0; i < (int) lengthof(upper_bounds); i++)
	{
		if (strcmp(name, upper_bounds[i]) == 0)
			return source != -1 && source < target;
	}
	return false;
}

/*
 * The first of the source's labels that the target lacks or has elsewhere in
 * the order: enums compare by that order, indexes and CHECKs rely on it.
 */
static char *
missing_label(const CatalogType *source, const CatalogType *target)
{
	int			next = 0;
	ListCell   *lc;

	foreach(lc, source->labels)
	{
		while (next < list_length(target->labels) &&
			   strcmp(list_nth(target->labels, next), lfirst(lc)) != 0)
			next++;
		if (next == list_length(target->labels))
			return lfirst(lc);
		next++;
	}
	return NULL;
}

static bool
is_builtin(const CatalogType *type, const char *name)
{
	return strcmp(type->schema, "pg_catalog") == 0 &&
		strcmp(type->name, name) == 0;
}

static bool
is_unlimited_text(const CatalogType *type)
{
	return is_builtin(type, "text") ||
		(is_builtin(type, "varchar") && type->typmod == -1);
}

/* Decimal digits of an integer type's widest value; 0 for other types. */
static int
decimal_digits(const CatalogType *type)
{
	if (is_builtin(type, "int2"))
		return 5;
	if (is_builtin(type, "int4"))
		return 10;
	if (is_builtin(type, "int8"))
		return 19;
	return 0;
}
