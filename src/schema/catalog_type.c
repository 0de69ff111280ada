/*-------------------------------------------------------------------------
 *
 * catalog_type.c
 *		Types of a catalog: from pg_type's rows to CatalogType.
 *
 * The query gives one row per type; what a type is made of is followed here,
 * so that a composite in an array in a domain is described to its end.
 *
 * Whoever may create types, on either end, decides how they are nested.  So
 * each is described once, however often it occurs; within a definition each is
 * spelled out where it comes first, and has only its name behind that; and all
 * definitions together are bounded.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "catalog/pg_type.h"
#include "fmgr.h"
#include "lib/stringinfo.h"
#include "miscadmin.h"
#include "utils/array.h"
#include "utils/builtins.h"
#include "utils/fmgroids.h"
#include "utils/hsearch.h"

#include "schema/catalog_type.h"

/* Columns of CATALOG_TYPES_SQL. */
enum
{
	TYPE_OID,
	TYPE_SCHEMA,
	TYPE_NAME,
	TYPE_TYPTYPE,
	TYPE_ELEMENT,
	TYPE_BASE,
	TYPE_BASE_TYPMOD,
	TYPE_BASE_DISPLAY,
	TYPE_NOT_NULL,
	TYPE_EXTENSION,
	TYPE_HAS_BINARY,
	TYPE_LABELS,
	TYPE_SUBTYPE,
	TYPE_CHECKS,
	TYPE_ATTRIBUTE_NAMES,
	TYPE_ATTRIBUTE_TYPES,
	TYPE_ATTRIBUTE_TYPMODS,
	TYPE_ATTRIBUTE_DISPLAYS
};

/* What all definitions of one catalog may take, in bytes. */
#define MAX_DEFINITIONS		((Size) 64 * 1024 * 1024)

typedef enum TypeState
{
	TYPE_UNKNOWN,				/* asked for, but its row is not there */
	TYPE_READ,
	TYPE_IN_HAND,				/* being described */
	TYPE_DESCRIBED
} TypeState;

/* A type by itself, whatever column has it. */
typedef struct TypeEntry
{
	Oid			oid;			/* hash key */
	TypeState	state;
	const RowSet *rows;
	int			row;
	uint32		mentioned;		/* in which definition last */
	char	   *definition;		/* as in CatalogType, and these, too */
	char	   *extension;
	bool		binary_safe;
	CatalogType *base;
} TypeEntry;

struct TypeTable
{
	int			version;
	HTAB	   *by_oid;
	List	   *unexamined;		/* of TypeEntry: their parts may be missing */
	uint32		definitions;	/* written so far */
	Size		definition_bytes;
};

static TypeEntry *enter_type(TypeTable *types, Oid oid);
static TypeEntry *find_type(TypeTable *types, Oid oid);
static List *parts_of(const TypeEntry *entry);
static char *value_of(const TypeEntry *entry, int column);
static TypeEntry *element_of(TypeTable *types, const TypeEntry *entry);
static char kind_of(const TypeEntry *entry);
static void describe(TypeTable *types, TypeEntry *entry);
static void describe_base(TypeTable *types, TypeEntry *entry);
static bool crosses_servers(const TypeEntry *entry, int version);
static char *definition_of(TypeTable *types, TypeEntry *entry);
static bool has_definition(TypeTable *types, const TypeEntry *entry);
static void append_definition(TypeTable *types, StringInfo text,
							  TypeEntry *entry);
static void append_attributes(TypeTable *types, StringInfo text,
							  const TypeEntry *entry);
static void append_labels(StringInfo text, const TypeEntry *entry);
static void append_part(TypeTable *types, StringInfo text, Oid oid,
						const char *display);

TypeTable *
ftm_catalog_type_table(int version)
{
	TypeTable  *types = palloc0(sizeof(TypeTable));
	HASHCTL		control = {0};

	control.keysize = sizeof(Oid);
	control.entrysize = sizeof(TypeEntry);
	control.hcxt = CurrentMemoryContext;
	types->version = version;
	types->by_oid = hash_create("ftmigrate types", 64, &control,
								HASH_ELEM | HASH_BLOBS | HASH_CONTEXT);
	return types;
}

/* The entry for a type, which is unknown if it was not there yet. */
static TypeEntry *
enter_type(TypeTable *types, Oid oid)
{
	bool		found;
	TypeEntry  *entry = hash_search(types->by_oid, &oid, HASH_ENTER, &found);

	if (!found)
	{
		memset(entry, 0, sizeof(TypeEntry));
		entry->oid = oid;
	}
	return entry;
}

void
ftm_catalog_type_add(TypeTable *types, const RowSet *rows)
{
	for (int row = 0; row < rows->nrows; row++)
	{
		TypeEntry  *entry = enter_type(types,
									   ftm_rowset_oid(rows, row, TYPE_OID));

		CHECK_FOR_INTERRUPTS();
		if (entry->state != TYPE_UNKNOWN)
			continue;
		entry->state = TYPE_READ;
		entry->rows = rows;
		entry->row = row;
		types->unexamined = lappend(types->unexamined, entry);
	}
}

List *
ftm_catalog_type_missing(TypeTable *types)
{
	List	   *missing = NIL;
	ListCell   *lc;
	ListCell   *lc2;

	foreach(lc, types->unexamined)
	{
		CHECK_FOR_INTERRUPTS();
		foreach(lc2, parts_of(lfirst(lc)))
		{
			Oid			oid = atooid(lfirst(lc2));
			bool		found;

			if (!OidIsValid(oid))
				continue;
			(void) hash_search(types->by_oid, &oid, HASH_FIND, &found);
			if (found)
				continue;
			(void) enter_type(types, oid);
			missing = lappend(missing, lfirst(lc2));
		}
	}
	list_free(types->unexamined);
	types->unexamined = NIL;
	return missing;
}

/* OIDs (char *) of the types that a type consists of; "0" may be among them. */
static List *
parts_of(const TypeEntry *entry)
{
	static const int columns[] = {TYPE_ELEMENT, TYPE_BASE, TYPE_SUBTYPE};
	List	   *parts;

	parts = ftm_catalog_text_array(value_of(entry, TYPE_ATTRIBUTE_TYPES));
	for (int i = 0; i < (int) lengthof(columns); i++)
	{
		char	   *oid = value_of(entry, columns[i]);

		if (oid != NULL)
			parts = lappend(parts, oid);
	}
	return parts;
}

static char *
value_of(const TypeEntry *entry, int column)
{
	return ftm_rowset_value(entry->rows, entry->row, column);
}

/*
 * A type whose row is there.  No catalog lacks one that is used, so it is not the
 * user who named what does not exist: an error of its own is for that.
 */
static TypeEntry *
find_type(TypeTable *types, Oid oid)
{
	TypeEntry  *entry = hash_search(types->by_oid, &oid, HASH_FIND, NULL);

	if (entry == NULL || entry->state == TYPE_UNKNOWN)
		ereport(ERROR,
				(errcode(ERRCODE_INTERNAL_ERROR),
				 errmsg("a column or type is of type %u, which is not in pg_type",
						oid)));
	return entry;
}

/* Of an array; NULL if the type is none.  There are no arrays of arrays. */
static TypeEntry *
element_of(TypeTable *types, const TypeEntry *entry)
{
	TypeEntry  *element;

	if (value_of(entry, TYPE_ELEMENT) == NULL)
		return NULL;
	element = find_type(types, ftm_rowset_oid(entry->rows, entry->row,
											  TYPE_ELEMENT));
	if (value_of(element, TYPE_ELEMENT) != NULL)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_OBJECT_DEFINITION),
				 errmsg("type %u is an array of arrays", entry->oid)));
	return element;
}

static char
kind_of(const TypeEntry *entry)
{
	return ftm_rowset_text(entry->rows, entry->row, TYPE_TYPTYPE)[0];
}

CatalogType *
ftm_catalog_type(TypeTable *types, Oid oid, int32 typmod, const char *display)
{
	TypeEntry  *entry = find_type(types, oid);
	TypeEntry  *element = element_of(types, entry);
	CatalogType *type = palloc0(sizeof(CatalogType));

	describe(types, entry);
	type->schema = ftm_rowset_text(entry->rows, entry->row, TYPE_SCHEMA);
	type->name = ftm_rowset_text(entry->rows, entry->row, TYPE_NAME);
	type->typmod = typmod;
	type->display = pstrdup(display);
	type->typtype = kind_of(entry);
	type->extension = entry->extension;
	type->definition = entry->definition;
	type->binary_safe = entry->binary_safe;
	type->base_schema = type->schema;
	type->base_name = type->name;
	type->base_typmod = typmod;
	if (element != NULL)
	{
		type->is_array = true;
		type->element = ftm_catalog_type(types, element->oid, typmod, display);
	}
	else if (entry->base != NULL)
	{
		type->base = entry->base;
		type->base_schema = entry->base->base_schema;
		type->base_name = entry->base->base_name;
		type->base_typmod = entry->base->base_typmod;
	}
	else if (type->typtype == TYPTYPE_ENUM)
		type->labels = ftm_catalog_text_array(value_of(entry, TYPE_LABELS));
	return type;
}

/*
 * What is true of the type wherever it occurs, found out once.
 */
static void
describe(TypeTable *types, TypeEntry *entry)
{
	TypeEntry  *element;
	ListCell   *lc;

	check_stack_depth();
	CHECK_FOR_INTERRUPTS();
	if (entry->state == TYPE_DESCRIBED)
		return;
	if (entry->state == TYPE_IN_HAND)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_OBJECT_DEFINITION),
				 errmsg("type %u consists of itself", entry->oid)));
	entry->state = TYPE_IN_HAND;

	entry->extension = value_of(entry, TYPE_EXTENSION);
	entry->binary_safe = ftm_rowset_bool(entry->rows, entry->row,
										 TYPE_HAS_BINARY);
	foreach(lc, parts_of(entry))
	{
		Oid			oid = atooid(lfirst(lc));

		if (!OidIsValid(oid))
			continue;
		describe(types, find_type(types, oid));
		entry->binary_safe &= find_type(types, oid)->binary_safe;
	}
	element = element_of(types, entry);
	if (element != NULL)
		entry->extension = element->extension;
	else if (kind_of(entry) == TYPTYPE_DOMAIN)
		describe_base(types, entry);
	entry->binary_safe &= crosses_servers(entry, types->version);
	entry->definition = element != NULL ? element->definition :
		definition_of(types, entry);
	entry->state = TYPE_DESCRIBED;
}

static void
describe_base(TypeTable *types, TypeEntry *entry)
{
	const RowSet *rows = entry->rows;
	int			row = entry->row;

	entry->base = ftm_catalog_type(types,
								   ftm_rowset_oid(rows, row, TYPE_BASE),
								   (int32) ftm_rowset_int64(rows, row,
															TYPE_BASE_TYPMOD),
								   ftm_rowset_text(rows, row,
												   TYPE_BASE_DISPLAY));
}

/*
 * Does the binary form of this type itself, whatever it consists of, mean the
 * same on another server?  The reg* types carry the OID of a local object (a
 * plain oid is just a number).  xml's receive function believes the encoding
 * in the document's declaration, which the transport has already converted.
 * PostgreSQL 17's infinite intervals are some finite one to older servers.
 * An extension's type may have changed its format between two versions.
 */
static bool
crosses_servers(const TypeEntry *entry, int version)
{
	const char *name = ftm_rowset_text(entry->rows, entry->row, TYPE_NAME);

	if (entry->extension != NULL)
		return false;
	if (strcmp(ftm_rowset_text(entry->rows, entry->row, TYPE_SCHEMA),
			   "pg_catalog") != 0)
		return true;
	if (strcmp(name, "interval") == 0)
		return version < 170000;
	return strncmp(name, "reg", 3) != 0 && strcmp(name, "xml") != 0;
}

/* NULL if there is nothing to be said. */
static char *
definition_of(TypeTable *types, TypeEntry *entry)
{
	StringInfoData text;

	if (!has_definition(types, entry))
		return NULL;
	initStringInfo(&text);
	entry->mentioned = ++types->definitions;
	append_definition(types, &text, entry);
	types->definition_bytes += text.len;
	return text.data;
}

static bool
has_definition(TypeTable *types, const TypeEntry *entry)
{
	const TypeEntry *element = element_of(types, entry);
	char		kind = kind_of(element != NULL ? element : entry);

	return kind == TYPTYPE_DOMAIN || kind == TYPTYPE_COMPOSITE ||
		kind == TYPTYPE_ENUM ||
		value_of(element != NULL ? element : entry, TYPE_SUBTYPE) != NULL;
}

/* Of a type that is no array. */
static void
append_definition(TypeTable *types, StringInfo text, TypeEntry *entry)
{
	const RowSet *rows = entry->rows;
	int			row = entry->row;
	ListCell   *lc;

	check_stack_depth();
	CHECK_FOR_INTERRUPTS();
	if (types->definition_bytes + text->len > MAX_DEFINITIONS)
		ereport(ERROR,
				(errcode(ERRCODE_PROGRAM_LIMIT_EXCEEDED),
				 errmsg("the definitions of types take more than %zu MB",
						MAX_DEFINITIONS / (1024 * 1024))));
	if (value_of(entry, TYPE_SUBTYPE) != NULL)
		append_part(types, text, ftm_rowset_oid(rows, row, TYPE_SUBTYPE), "");
	else if (kind_of(entry) == TYPTYPE_DOMAIN)
	{
		append_part(types, text, ftm_rowset_oid(rows, row, TYPE_BASE),
					ftm_rowset_text(rows, row, TYPE_BASE_DISPLAY));
		if (ftm_rowset_bool(rows, row, TYPE_NOT_NULL))
			appendStringInfoString(text, " NOT NULL");
		foreach(lc, ftm_catalog_text_array(value_of(entry, TYPE_CHECKS)))
			appendStringInfo(text, " %s", (char *) lfirst(lc));
	}
	else if (kind_of(entry) == TYPTYPE_COMPOSITE)
		append_attributes(types, text, entry);
	else
		append_labels(text, entry);
}

static void
append_attributes(TypeTable *types, StringInfo text, const TypeEntry *entry)
{
	List	   *names;
	List	   *oids;
	List	   *displays;

	names = ftm_catalog_text_array(value_of(entry, TYPE_ATTRIBUTE_NAMES));
	oids = ftm_catalog_text_array(value_of(entry, TYPE_ATTRIBUTE_TYPES));
	displays = ftm_catalog_text_array(value_of(entry, TYPE_ATTRIBUTE_DISPLAYS));
	if (list_length(oids) != list_length(names) ||
		list_length(displays) != list_length(names))
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_TEXT_REPRESENTATION),
				 errmsg("the attributes of composite type %s are incomplete",
						ftm_rowset_text(entry->rows, entry->row, TYPE_NAME))));

	appendStringInfoChar(text, '(');
	for (int i = 0; i < list_length(names); i++)
	{
		appendStringInfo(text, "%s%s ", i > 0 ? ", " : "",
						 quote_identifier(list_nth(names, i)));
		append_part(types, text, atooid(list_nth(oids, i)),
					list_nth(displays, i));
	}
	appendStringInfoChar(text, ')');
}

static void
append_labels(StringInfo text, const TypeEntry *entry)
{
	ListCell   *lc;

	appendStringInfoChar(text, '{');
	foreach(lc, ftm_catalog_text_array(value_of(entry, TYPE_LABELS)))
		appendStringInfo(text, "%s%s", foreach_current_index(lc) > 0 ? ", " : "",
						 quote_literal_cstr(lfirst(lc)));
	appendStringInfoChar(text, '}');
}

/*
 * A type within a definition: its name, and its own definition where it comes
 * first.
 */
static void
append_part(TypeTable *types, StringInfo text, Oid oid, const char *display)
{
	TypeEntry  *entry = find_type(types, oid);
	TypeEntry  *element = element_of(types, entry);
	TypeEntry  *defined = element != NULL ? element : entry;

	if (display[0] != '\0')
		appendStringInfoString(text, display);
	else
		appendStringInfo(text, "%s.%s",
						 quote_identifier(ftm_rowset_text(entry->rows,
														  entry->row,
														  TYPE_SCHEMA)),
						 quote_identifier(ftm_rowset_text(entry->rows,
														  entry->row,
														  TYPE_NAME)));
	if (!has_definition(types, defined) ||
		defined->mentioned == types->definitions)
		return;
	defined->mentioned = types->definitions;
	appendStringInfoChar(text, ' ');
	append_definition(types, text, defined);
}

List *
ftm_catalog_text_array(const char *value)
{
	List	   *result = NIL;
	ArrayType  *array;
	Datum	   *elements;
	int			nelements;

	if (value == NULL)
		return NIL;
	array = DatumGetArrayTypeP(OidInputFunctionCall(F_ARRAY_IN,
													unconstify(char *, value),
													TEXTOID, -1));
	deconstruct_array(array, TEXTOID, -1, false, TYPALIGN_INT,
					  &elements, NULL, &nelements);
	for (int i = 0; i < nelements; i++)
		result = lappend(result, TextDatumGetCString(elements[i]));
	return result;
}
