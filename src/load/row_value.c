/*-------------------------------------------------------------------------
 *
 * row_value.c
 *		Values of a row: out of a binary COPY stream, and into a tuple.
 *
 * The outcome must be COPY's to the letter, errors included.  So an inline
 * decoder only takes values that are beyond doubt; any other is given to the
 * receive function, which knows what is wrong with it and how to say so.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "libpq/pqformat.h"
#include "utils/fmgroids.h"
#include "utils/lsyscache.h"

#include "load/row_value.h"

static FieldKind field_kind(Oid receive, Form_pg_attribute att);

/*
 * Whether values of an attribute can be decoded here.  Other types may share a
 * receive function, so the way they are stored is looked at, too.
 */
static FieldKind
field_kind(Oid receive, Form_pg_attribute att)
{
	static const struct
	{
		Oid			receive;
		FieldKind	kind;
		int16		length;
		bool		by_value;
		bool		any_typmod;
	}			kinds[] = {
		{F_BOOLRECV, FIELD_BOOL, 1, true, false},
		{F_INT2RECV, FIELD_INT16, 2, true, false},
		{F_INT4RECV, FIELD_INT32, 4, true, false},
		{F_OIDRECV, FIELD_INT32, 4, true, false},
		{F_FLOAT4RECV, FIELD_INT32, 4, true, false},
		{F_DATE_RECV, FIELD_DATE, 4, true, false},
		{F_INT8RECV, FIELD_INT64, 8, true, false},
		{F_FLOAT8RECV, FIELD_INT64, 8, true, false},
		{F_TIMESTAMP_RECV, FIELD_TIMESTAMP, 8, true, false},
		{F_TIMESTAMPTZ_RECV, FIELD_TIMESTAMP, 8, true, false},
		{F_NUMERIC_RECV, FIELD_NUMERIC, -1, false, true},
		{F_JSONB_RECV, FIELD_JSONB, -1, false, false},
		{F_UUID_RECV, FIELD_UUID, UUID_LEN, false, false},
		{F_TEXTRECV, FIELD_TEXT, -1, false, false},
		{F_VARCHARRECV, FIELD_TEXT, -1, false, true},
		{F_BYTEARECV, FIELD_BYTES, -1, false, false},
	};

	for (int i = 0; i < (int) lengthof(kinds); i++)
	{
		if (kinds[i].receive != receive)
			continue;
		if (kinds[i].length != att->attlen ||
			kinds[i].by_value != att->attbyval ||
			(att->atttypmod != -1 && !kinds[i].any_typmod))
			return FIELD_GENERIC;

		/* Where there is something to be converted, the function does it. */
		if ((kinds[i].kind == FIELD_TEXT || kinds[i].kind == FIELD_JSONB) &&
			pg_get_client_encoding() != GetDatabaseEncoding())
			return FIELD_GENERIC;
		return kinds[i].kind;
	}
	return FIELD_GENERIC;
}

void
ftm_field_init(RowField *field, Form_pg_attribute att)
{
	Oid			receive;

	getTypeBinaryInputInfo(att->atttypid, &receive, &field->ioparam);
	fmgr_info(receive, &field->receive);
	field->kind = field_kind(receive, att);
	field->attribute = att->attnum - 1;
	field->not_null = att->attnotnull;
	field->is_varlena = att->attlen == -1;
	field->null_received = !field->receive.fn_strict;
	field->typmod = att->atttypmod;
	field->max_length = receive == F_VARCHARRECV && field->typmod >= VARHDRSZ ?
		field->typmod - VARHDRSZ : PG_INT32_MAX;
	ftm_numeric_limits(field->typmod, &field->limits);
	field->jsonb = field->kind == FIELD_JSONB ? ftm_jsonb_begin() : NULL;
}

/*
 * Receive functions may count on a zero behind the value; what is there belongs
 * to what follows.
 */
Datum
ftm_field_receive(RowField *field, char *data, int32 length)
{
	StringInfoData message;
	char		behind = data[length];
	Datum		value;

	message.data = data;
	message.len = length;
	message.maxlen = length + 1;
	message.cursor = 0;
	data[length] = '\0';
	value = ReceiveFunctionCall(&field->receive, &message, field->ioparam,
								field->typmod);
	data[length] = behind;
	if (message.cursor != length)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_BINARY_REPRESENTATION),
				 errmsg("incorrect binary data format")));

	/* Whatever form it has in memory, not every one can be in a tuple. */
	if (field->is_varlena && VARATT_IS_EXTERNAL(DatumGetPointer(value)))
		value = PointerGetDatum(PG_DETOAST_DATUM(value));
	return value;
}

void
ftm_attribute_init(RowAttribute *attribute, Form_pg_attribute att)
{
	attribute->length = att->attlen;
	attribute->align_mask = (uintptr_t)
		att_align_nominal(1, att->attalign) - 1;
	attribute->infomask = att->attlen < 0 ? HEAP_HASVARWIDTH : 0;
	attribute->may_be_short = att->attstorage != TYPSTORAGE_PLAIN;
	attribute->kind = att->attlen == -1 ? STORE_VARLENA :
		att->attlen == -2 ? STORE_CSTRING :
		!att->attbyval ? STORE_FIXED :
		att->attlen == 8 ? STORE_INT64 :
		att->attlen == 4 ? STORE_INT32 :
		att->attlen == 2 ? STORE_INT16 : STORE_CHAR;
}

size_t
ftm_attribute_size(const RowAttribute *attribute, Datum value)
{
	if (attribute->kind == STORE_VARLENA)
		return VARSIZE_ANY(DatumGetPointer(value));
	if (attribute->kind == STORE_CSTRING)
		return strlen(DatumGetCString(value)) + 1;
	return attribute->length;
}
