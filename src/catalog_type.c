/*-------------------------------------------------------------------------
 *
 * catalog_type.c
 *		Types of a catalog: from pg_type's rows to CatalogType.
 *
 * The query gives one row per type; what a type is made of is followed here,
 * so that a composite in an array in a domain is described to its end.
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

#include "catalog_type.h"

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

typedef struct TypeRow
{
	Oid			oid;			/* hash key */
	const RowSet *rows;
	int			row;
} TypeRow;

struct TypeTable
{
	int			version;
	HTAB	   *by_oid;
};

static void describe_domain(TypeTable *types, const TypeRow *entry,
							CatalogType *type);
static void describe_composite(TypeTable *types, const TypeRow *entry,
							   CatalogType *type);
static void describe_enum(const TypeRow *entry, CatalogType *type);
static bool crosses_servers(const CatalogType *type, int version);
static void append_type(StringInfo text, const CatalogType *type);

TypeTable *
ftm_catalog_type_table(int version)
{
	TypeTable  *types = palloc(sizeof(TypeTable));
	HASHCTL		control = {0};

	control.keysize = sizeof(Oid);
	control.entrysize = sizeof(TypeRow);
	control.hcxt = CurrentMemoryContext;
	types->version = version;
	types->by_oid = hash_create("ftmigrate types", 64, &control,
								HASH_ELEM | HASH_BLOBS | HASH_CONTEXT);
	return types;
}

void
ftm_catalog_type_add(TypeTable *types, const RowSet *rows)
{
	for (int row = 0; row < rows->nrows; row++)
	{
		Oid			oid = atooid(ftm_rowset_text(rows, row, TYPE_OID));
		TypeRow    *entry = hash_search(types->by_oid, &oid, HASH_ENTER, NULL);

		entry->rows = rows;
		entry->row = row;
	}
}

List *
ftm_catalog_type_missing(TypeTable *types)
{
	List	   *missing = NIL;
	HASH_SEQ_STATUS scan;
	TypeRow    *entry;

	hash_seq_init(&scan, types->by_oid);
	while ((entry = hash_seq_search(&scan)) != NULL)
	{
		List	   *parts;
		ListCell   *lc;

		parts = ftm_catalog_text_array(ftm_rowset_value(entry->rows, entry->row,
														TYPE_ATTRIBUTE_TYPES));
		parts = lappend(parts, ftm_rowset_value(entry->rows, entry->row,
												TYPE_ELEMENT));
		parts = lappend(parts, ftm_rowset_value(entry->rows, entry->row,
												TYPE_BASE));
		parts = lappend(parts, ftm_rowset_value(entry->rows, entry->row,
												TYPE_SUBTYPE));
		foreach(lc, parts)
		{
			Oid			oid = lfirst(lc) != NULL ? atooid(lfirst(lc)) : InvalidOid;

			if (OidIsValid(oid) &&
				hash_search(types->by_oid, &oid, HASH_FIND, NULL) == NULL)
				missing = lappend(missing, lfirst(lc));
		}
	}
	return missing;
}

CatalogType *
ftm_catalog_type(TypeTable *types, Oid oid, int32 typmod, const char *display)
{
	TypeRow    *entry = hash_search(types->by_oid, &oid, HASH_FIND, NULL);
	CatalogType *type = palloc0(sizeof(CatalogType));
	const RowSet *rows;
	int			row;
	char	   *element;
	char	   *subtype;

	check_stack_depth();
	if (entry == NULL)
		elog(ERROR, "type %u is not in the catalog that was read", oid);
	rows = entry->rows;
	row = entry->row;

	type->schema = ftm_rowset_text(rows, row, TYPE_SCHEMA);
	type->name = ftm_rowset_text(rows, row, TYPE_NAME);
	type->typmod = typmod;
	type->display = pstrdup(display);
	type->typtype = ftm_rowset_text(rows, row, TYPE_TYPTYPE)[0];
	type->extension = ftm_rowset_value(rows, row, TYPE_EXTENSION);
	type->base_schema = type->schema;
	type->base_name = type->name;
	type->base_typmod = typmod;
	type->binary_safe = ftm_rowset_bool(rows, row, TYPE_HAS_BINARY);

	element = ftm_rowset_value(rows, row, TYPE_ELEMENT);
	subtype = ftm_rowset_value(rows, row, TYPE_SUBTYPE);
	if (element != NULL)
	{
		type->is_array = true;
		type->element = ftm_catalog_type(types, atooid(element), typmod,
										 display);
		type->extension = type->element->extension;
		type->definition = type->element->definition;
		type->binary_safe &= type->element->binary_safe;
	}
	else if (subtype != NULL)
	{
		CatalogType *part = ftm_catalog_type(types, atooid(subtype), -1, "");
		StringInfoData text;

		initStringInfo(&text);
		append_type(&text, part);
		type->definition = text.data;
		type->binary_safe &= part->binary_safe;
	}
	else if (type->typtype == TYPTYPE_DOMAIN)
		describe_domain(types, entry, type);
	else if (type->typtype == TYPTYPE_COMPOSITE)
		describe_composite(types, entry, type);
	else if (type->typtype == TYPTYPE_ENUM)
		describe_enum(entry, type);
	type->binary_safe &= crosses_servers(type, types->version);
	return type;
}

static void
describe_domain(TypeTable *types, const TypeRow *entry, CatalogType *type)
{
	const RowSet *rows = entry->rows;
	int			row = entry->row;
	CatalogType *base;
	StringInfoData text;
	ListCell   *lc;

	base = ftm_catalog_type(types,
							atooid(ftm_rowset_text(rows, row, TYPE_BASE)),
							(int32) ftm_rowset_int64(rows, row,
													 TYPE_BASE_TYPMOD),
							ftm_rowset_text(rows, row, TYPE_BASE_DISPLAY));
	type->base = base;
	type->base_schema = base->base_schema;
	type->base_name = base->base_name;
	type->base_typmod = base->base_typmod;
	type->binary_safe &= base->binary_safe;

	initStringInfo(&text);
	append_type(&text, base);
	if (ftm_rowset_bool(rows, row, TYPE_NOT_NULL))
		appendStringInfoString(&text, " NOT NULL");
	foreach(lc, ftm_catalog_text_array(ftm_rowset_value(rows, row,
														TYPE_CHECKS)))
		appendStringInfo(&text, " %s", (char *) lfirst(lc));
	type->definition = text.data;
}

static void
describe_composite(TypeTable *types, const TypeRow *entry, CatalogType *type)
{
	const RowSet *rows = entry->rows;
	int			row = entry->row;
	List	   *names;
	List	   *oids;
	List	   *typmods;
	List	   *displays;
	StringInfoData text;

	names = ftm_catalog_text_array(ftm_rowset_value(rows, row,
													TYPE_ATTRIBUTE_NAMES));
	oids = ftm_catalog_text_array(ftm_rowset_value(rows, row,
												   TYPE_ATTRIBUTE_TYPES));
	typmods = ftm_catalog_text_array(ftm_rowset_value(rows, row,
													  TYPE_ATTRIBUTE_TYPMODS));
	displays = ftm_catalog_text_array(ftm_rowset_value(rows, row,
													   TYPE_ATTRIBUTE_DISPLAYS));

	if (list_length(oids) != list_length(names) ||
		list_length(typmods) != list_length(names) ||
		list_length(displays) != list_length(names))
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_TEXT_REPRESENTATION),
				 errmsg("the attributes of composite type %s are incomplete",
						type->name)));

	initStringInfo(&text);
	appendStringInfoChar(&text, '(');
	for (int i = 0; i < list_length(names); i++)
	{
		CatalogType *part;

		part = ftm_catalog_type(types, atooid(list_nth(oids, i)),
								(int32) strtol(list_nth(typmods, i), NULL, 10),
								list_nth(displays, i));
		appendStringInfo(&text, "%s%s ", i > 0 ? ", " : "",
						 quote_identifier(list_nth(names, i)));
		append_type(&text, part);
		type->binary_safe &= part->binary_safe;
	}
	appendStringInfoChar(&text, ')');
	type->definition = text.data;
}

static void
describe_enum(const TypeRow *entry, CatalogType *type)
{
	StringInfoData text;
	ListCell   *lc;

	type->labels = ftm_catalog_text_array(ftm_rowset_value(entry->rows,
														   entry->row,
														   TYPE_LABELS));
	initStringInfo(&text);
	appendStringInfoChar(&text, '{');
	foreach(lc, type->labels)
		appendStringInfo(&text, "%s%s", foreach_current_index(lc) > 0 ? ", " : "",
						 quote_literal_cstr(lfirst(lc)));
	appendStringInfoChar(&text, '}');
	type->definition = text.data;
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
crosses_servers(const CatalogType *type, int version)
{
	if (type->extension != NULL)
		return false;
	if (strcmp(type->schema, "pg_catalog") != 0)
		return true;
	if (strcmp(type->name, "interval") == 0)
		return version < 170000;
	return strncmp(type->name, "reg", 3) != 0 &&
		strcmp(type->name, "xml") != 0;
}

static void
append_type(StringInfo text, const CatalogType *type)
{
	if (type->display[0] != '\0')
		appendStringInfoString(text, type->display);
	else
		appendStringInfo(text, "%s.%s", quote_identifier(type->schema),
						 quote_identifier(type->name));
	if (type->definition != NULL)
		appendStringInfo(text, " %s", type->definition);
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
